/** What is asked of stored runs: a definition's question, or none where only the runs are there. */

import { UsageError } from '../errors.js';
import { shippedExperiments } from '../experiments/index.js';
import type { ExperimentDefinition } from './definition.js';
import { openExperiment } from './open-experiment.js';

/** The part of a definition by which its runs are judged. */
export type Question = Pick<
  ExperimentDefinition,
  'name' | 'question' | 'metric' | 'lowerIsBetter' | 'baseline'
>;

/**
 * @param experiment a shipped experiment, a definition's file, or a folder of the record store
 * @throws UsageError when it can be none of them, UserError when its definition is refused
 */
export async function openQuestion(experiment: string): Promise<Question> {
  const isDefined = Object.hasOwn(shippedExperiments, experiment) || /\.(json|js|mjs)$/.test(experiment);
  if (isDefined) return openExperiment(experiment);
  if (/^[A-Za-z0-9][\w.-]*$/.test(experiment)) return { name: experiment, question: '' };
  throw new UsageError(`invalid experiment: ${experiment}; expected a folder's name, such as main`);
}

/** `system=FlexGen`; numbers are numbers. @throws UsageError */
export function parseBaseline(text: string): Readonly<Record<string, string | number>> {
  const [, axis, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (axis === undefined || value === undefined)
    throw new UsageError(`invalid --baseline: ${text}; expected an axis and a value, such as system=FlexGen`);
  return { [axis]: Number.isFinite(Number(value)) ? Number(value) : value };
}
