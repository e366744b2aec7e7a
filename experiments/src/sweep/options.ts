/** What a caller may ask of a sweep beyond its definition, and the definition that comes of it. */

import { availableParallelism } from 'node:os';
import { UserError } from '@specoffload/engine';
import { currentSignal } from '@specoffload/input';
import type { ExperimentDefinition, Settings } from '../definitions/definition.js';
import { assertMetric } from '../definitions/metrics.js';
import { assertPoints, parseDefinition, toQuick } from '../definitions/parse.js';
import { defaultResultsDirectory } from '../paths.js';
import type { Turn } from '../store/index.js';
import { createOutput, type Output } from '../terminal/output.js';
import type { Share } from './locate.js';
import type { SweepProgress } from './progress.js';
import type { CreateRunner } from './runner.js';

export const searches = ['full', 'halving', 'thompson', 'bayesian'] as const;

export interface SweepOptions {
  /** Record store. @default results/ of the project */
  readonly results?: string;
  /** The definition's small form. @default false */
  readonly quick?: boolean;
  /** In place of the definition's. */
  readonly repeats?: number;
  /** In place of the definition's. */
  readonly seeds?: readonly number[];
  /** In place of the definition's settings of the same names. */
  readonly settings?: Settings;
  /** An expression that must hold too for a point to run. */
  readonly filter?: string;
  /** After so many seconds no further run is started. @default no limit */
  readonly maxSeconds?: number;
  /**
   * Every point as often as every other, repeats for the promising ones only, one run at a time where it promises most,
   * or point by point where most is expected. @default full
   */
  readonly search?: (typeof searches)[number];
  /**
   * Runs of a search by Thompson sampling, points of a Bayesian one. @default twice as many as the axes have
   * combinations; a tenth of the points, or as many as tell what each axis does
   */
  readonly rounds?: number;
  /** Columns of results that a Bayesian search weighs against each other. @default the definition's metric */
  readonly objectives?: readonly string[];
  /** Threads that predict. @default one per core */
  readonly workers?: number;
  /** What runs the points, such as `queueRunner('redis://…')`. @default this process */
  readonly createRunner?: CreateRunner;
  /** Only the points of one of several equal shares. @default all */
  readonly share?: Share;
  /** Keeps the timeline of every prediction; a measured run's is always kept. @default false */
  readonly traces?: boolean;
  /** Tries points again that were refused earlier. @default false */
  readonly retry?: boolean;
  /** Aborting ends the sweep with the signal's reason; what was stored stays. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SweepProgress) => void;
  /** Sentences about the work: the plan, what is prepared, what was disturbed. */
  readonly onNote?: (sentence: string) => void;
}

/** All of {@link SweepOptions}, settled. */
export interface SweepRequest {
  /** In the form that runs: quick or not, filters added. */
  readonly definition: ExperimentDefinition;
  readonly results: string;
  /** Every point's runs, in order. */
  readonly turns: readonly Turn[];
  readonly warmups: number;
  readonly maxSeconds: number;
  readonly search: (typeof searches)[number];
  /** Of a search that has any. */
  readonly rounds: number | undefined;
  readonly objectives: readonly string[] | undefined;
  readonly workers: number;
  /** null: this process. */
  readonly createRunner: CreateRunner | null;
  readonly share: Share | null;
  readonly keepsTraces: boolean;
  readonly retries: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: SweepProgress) => void;
  /** Only its notes are used. */
  readonly output: Output;
  /** Whether anybody reads the notes, and so is to be told beforehand how long it should take. */
  readonly isAnnounced: boolean;
}

/** @throws UserError for a definition or an option that is refused. */
export function settleRequest(input: ExperimentDefinition, options: SweepOptions = {}): SweepRequest {
  const definition = formOf(parseDefinition(input, `experiment ${input?.name}`), options);
  const {
    maxSeconds = Number.POSITIVE_INFINITY,
    workers = availableParallelism(),
    search = 'full',
  } = options;
  if (!(maxSeconds > 0)) throw new UserError(`invalid maxSeconds: ${maxSeconds}; expected more than 0`);
  if (!(Number.isInteger(workers) && 1 <= workers && workers <= 256))
    throw new UserError(`invalid workers: ${workers}; expected a whole number from 1 to 256`);
  if (!searches.includes(search))
    throw new UserError(`invalid search: ${search}; expected ${searches.join(', ')}`);
  const { rounds, objectives } = options;
  if (rounds !== undefined && search !== 'thompson' && search !== 'bayesian')
    throw new UserError(`invalid rounds: ${rounds}; only searches by thompson and bayesian have rounds`);
  if (rounds !== undefined && !(Number.isInteger(rounds) && 1 <= rounds && rounds <= mostRounds))
    throw new UserError(`invalid rounds: ${rounds}; expected a whole number from 1 to ${mostRounds}`);
  assertObjectives(objectives, search);
  const isMeasured = definition.kind === 'measured';
  const { repeats = isMeasured ? 3 : 1, seeds = [1], warmups = isMeasured ? 1 : 0 } = definition;
  const turns =
    search === 'thompson'
      ? pullsOf(definition, options.rounds)
      : Array.from({ length: repeats }, (_, repeat) => seeds.map((seed) => ({ seed, repeat }))).flat();
  if (search === 'halving' && turns.length < 2)
    throw new UserError(
      `invalid search: halving; it spends several runs on promising points, expected at least 2 ${isMeasured ? 'repeats' : 'seeds'}`,
    );
  return {
    ...{ definition, turns, warmups, maxSeconds, workers },
    results: options.results ?? defaultResultsDirectory,
    ...{ search, rounds, objectives },
    createRunner: options.createRunner ?? null,
    share: options.share ?? null,
    keepsTraces: options.traces ?? false,
    retries: options.retry ?? false,
    signal: options.signal ?? currentSignal() ?? new AbortController().signal,
    onProgress: options.onProgress ?? (() => {}),
    output: createNoting(options.onNote ?? (() => {})),
    isAnnounced: options.onNote !== undefined,
  };
}

/** As many runs as any one point could get: of predictions seed after seed, of measured points repeat after repeat. */
function pullsOf({ kind, axes, seeds = [1] }: ExperimentDefinition, rounds?: number): Turn[] {
  const combinations = Object.values(axes).reduce((product, { length }) => product * length, 1);
  const length = rounds ?? Math.min(2 * combinations, mostRounds);
  return Array.from({ length }, (_, pull) =>
    kind === 'measured' ? { seed: seeds[0]!, repeat: pull } : { seed: seeds[0]! + pull, repeat: 0 },
  );
}

const mostRounds = 100_000;

function assertObjectives(objectives: readonly string[] | undefined, search: string): void {
  if (objectives === undefined) return;
  if (search !== 'bayesian')
    throw new UserError(
      `invalid objectives: ${objectives.join(', ')}; only a search by bayesian has several`,
    );
  for (const metric of objectives) assertMetric(metric);
  if (new Set(objectives).size !== objectives.length || objectives.length === 0)
    throw new UserError(
      `invalid objectives: ${objectives.join(', ')}; expected different columns, one or more`,
    );
}

function formOf(definition: ExperimentDefinition, options: SweepOptions): ExperimentDefinition {
  const { quick = false, repeats, seeds, settings = {}, filter } = options;
  const form = quick ? toQuick(definition) : definition;
  for (const name of Object.keys(settings))
    if (Object.hasOwn(form.axes, name))
      throw new UserError(`${name} is an axis of ${definition.name}; leave it out, or filter by it`);
  const changed = {
    ...form,
    ...(repeats === undefined ? {} : { repeats }),
    ...(seeds === undefined ? {} : { seeds }),
    settings: { ...form.settings, ...settings },
    ...(filter === undefined ? {} : { filters: [...(form.filters ?? []), filter] }),
  };
  const { quick: _done, ...whole } = changed;
  const settled = parseDefinition(whole, `experiment ${definition.name}`);
  assertPoints(settled);
  return settled;
}

/** An output of which only notes arrive anywhere. */
function createNoting(onNote: (sentence: string) => void): Output {
  const stream = { write: (text: string) => onNote(text.trimEnd()) };
  return createOutput({ write: () => true }, stream, false);
}
