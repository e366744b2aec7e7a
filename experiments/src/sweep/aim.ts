/** What stored runs are judged by: what their definition says, or nothing where only the runs are there. */

import { parseNumber } from '@specoffload/input';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { assertMetric, isLessBetter } from '../definitions/metrics.js';
import { toQuick } from '../definitions/parse.js';
import { asUsage, UsageError } from '../terminal/errors.js';
import { shippedExperiments } from './experiments/index.js';
import { type Generation, isSameGeneration } from './generations.js';
import { openExperiment } from './open-experiment.js';

/** The part of a definition by which its runs are judged. */
export type Aim = Pick<ExperimentDefinition, 'name' | 'question' | 'metric' | 'lowerIsBetter' | 'baseline'>;

/** An experiment by its name in the store, or by a definition of the caller's own. */
export interface AskedExperiment {
  readonly name: string;
  /** From a file; null where the store is to say what was asked. */
  readonly definition: ExperimentDefinition | null;
}

/**
 * @param experiment a folder of the record store, or a definition's file
 * @throws UsageError when it can be neither, UserError when its definition is refused
 */
export async function openAsked(experiment: string): Promise<AskedExperiment> {
  if (/\.(json|js|mjs)$/.test(experiment)) {
    const definition = await openExperiment(experiment);
    return { name: definition.name, definition };
  }
  if (/^[A-Za-z0-9][\w.-]*$/.test(experiment)) return { name: experiment, definition: null };
  throw new UsageError(`invalid experiment: ${experiment}; expected a folder's name, such as main`);
}

/** Of a generation of runs: the file's where there is one, else that of its stored definition, else of a shipped one. */
export async function aimOf({ name, definition }: AskedExperiment, generation: Generation): Promise<Aim> {
  const stored = definition ?? generation.definition;
  if (stored !== null) return stored;
  const isShipped = Object.hasOwn(shippedExperiments, name);
  return isShipped ? openExperiment(name) : { name, question: '' };
}

/** What a caller says in place of the definition. */
export interface Judging {
  readonly metric?: string;
  readonly lowerIsBetter?: true;
  readonly baseline?: Readonly<Record<string, string | number>>;
}

/** Less of seconds, bytes, energy and power is better where nobody says otherwise. @throws UsageError for an unknown metric */
export function judgeBy(aim: Aim, { metric, lowerIsBetter, baseline }: Judging): Aim {
  const judged = { ...aim, ...(baseline && { baseline }) };
  if (metric !== undefined) asUsage(() => assertMetric(metric));
  const isOwn = metric === undefined || metric === aim.metric;
  if (isOwn) return { ...judged, ...(lowerIsBetter && { lowerIsBetter }) };
  return { ...judged, metric, lowerIsBetter: lowerIsBetter ?? isLessBetter(metric) };
}

/**
 * Of an experiment's generations those that are asked for, the latest first: all, those of a definition's file where
 * it has any, or the one whose id begins like this.
 * @throws UsageError when there is no such
 */
export function chooseGenerations(
  all: readonly Generation[],
  { name, definition }: AskedExperiment,
  idStart: string | undefined,
): readonly Generation[] {
  if (idStart !== undefined) {
    const chosen = all.filter(({ id }) => id.startsWith(idStart));
    if (chosen.length === 1) return chosen;
    throw new UsageError(
      `invalid --generation: ${idStart}; ${name} has ${all.map(({ id }) => id).join(', ')}, expected one of them`,
    );
  }
  if (definition === null) return all;
  const forms = [definition, toQuick(definition)];
  const own = all.filter((one) =>
    forms.some((form) => one.definition && isSameGeneration(one.definition, form)),
  );
  return own.length > 0 ? own : all;
}

/** A sentence about the first part of the baseline that no point has; null when all is there. */
export function findMissing(
  baseline: Readonly<Record<string, unknown>>,
  points: readonly { readonly axes: Readonly<Record<string, unknown>> }[],
): string | null {
  for (const [name, value] of Object.entries(baseline)) {
    const values = new Set(points.flatMap(({ axes }) => (Object.hasOwn(axes, name) ? [axes[name]] : [])));
    if (values.has(value)) continue;
    const hint = values.size > 0 ? `: ${[...values].slice(0, 5).join(', ')}` : '';
    return `invalid baseline: ${name}=${value}; expected an axis of the experiment and one of its values${hint}`;
  }
  return null;
}

/** `system=FlexGen`; numbers are numbers. @throws UsageError */
export function parseBaseline(text: string): Readonly<Record<string, string | number>> {
  const [, axis, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (axis === undefined || value === undefined)
    throw new UsageError(`invalid --baseline: ${text}; expected an axis and a value, such as system=FlexGen`);
  return { [axis]: parseNumber(value) ?? value };
}
