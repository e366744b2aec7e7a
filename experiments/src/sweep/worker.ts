/** One thread of the pool of simulated sweeps: opens models once a sweep, predicts points, and stores their records itself. */

import { memoryOverTime, simulateRun, toChromeTrace, UserError } from '@specoffload/engine';
import { reasonOf } from '@specoffload/input';
import { measure } from '../definitions/metrics.js';
import type { Turn } from '../store/index.js';
import { buildSimulatedRecord, type ProvenanceRecord, type RunLocation, storeRunAs } from '../store/index.js';
import { createOutput } from '../terminal/output.js';
import { ForeignRun, openAsked } from './open-asked.js';
import { settingsToRun } from './planned-points.js';
import { openPredictedJob } from './predicted-job.js';
import { Shelf } from './shelf.js';

/** What all points of a sweep share. */
export interface SweepSetup {
  /** Which sweep of this process it is. */
  readonly id: number;
  readonly results: string;
  readonly experiment: string;
  readonly metric: string;
  readonly keepsTraces: boolean;
  readonly provenance: ProvenanceRecord;
  /** Becomes 1 when the sweep is stopped: a thread at work sees no messages. */
  readonly stopFlag: Int32Array;
}

export interface PointTask {
  readonly location: RunLocation;
  readonly turn: Turn;
  readonly setup: SweepSetup;
}

/** How a run of a point ended. */
export type RunEnd =
  | { readonly end: 'stored'; readonly value: number | null; readonly isDisturbed?: boolean }
  /** Another process was faster with the same run. */
  | { readonly end: 'known' }
  | { readonly end: 'refused'; readonly reason: string }
  /** `isForeign`: nothing was run, since what was asked for cannot be opened here or is something else here. */
  | { readonly end: 'failed'; readonly message: string; readonly isForeign?: true }
  /** The store cannot take it: nothing that follows could be stored either. */
  | { readonly end: 'unstorable'; readonly reason: string }
  | { readonly end: 'stopped' };

class Stopped extends Error {}

const silent = { write: () => true };
let shelf: Shelf;
let shelfOf = 0;

/** What the sweep has opened so far: files may have changed since the one before. */
function openShelf({ id }: SweepSetup): Shelf {
  if (id !== shelfOf) shelf = new Shelf(createOutput(silent, silent, false), new AbortController().signal);
  shelfOf = id;
  return shelf;
}

export default async function runPoint(task: PointTask): Promise<RunEnd> {
  const { location, turn, setup } = task;
  const createdAt = new Date();
  let predicted: Awaited<ReturnType<typeof predict>>;
  try {
    predicted = await inTurn(() => predict(task));
  } catch (error) {
    if (error instanceof Stopped) return { end: 'stopped' };
    if (error instanceof ForeignRun) return { end: 'failed', message: error.message, isForeign: true };
    if (error instanceof UserError) return { end: 'refused', reason: error.message };
    return { end: 'failed', message: reasonOf(error) };
  }
  const { provenance, results, experiment, keepsTraces, metric } = setup;
  const record = buildSimulatedRecord({ ...predicted, createdAt, provenance, location }, turn.repeat);
  const { spans, memoryLog } = predicted.result;
  const trace = keepsTraces ? JSON.stringify(toChromeTrace(spans, memoryOverTime(memoryLog))) : null;
  try {
    const isNew = await storeRunAs(results, experiment, record, { trace, tokens: null });
    return isNew ? { end: 'stored', value: measure(record, metric) } : { end: 'known' };
  } catch (error) {
    if (error instanceof UserError) return { end: 'unstorable', reason: error.message };
    throw error;
  }
}

let latest: Promise<unknown> = Promise.resolve();

/** One prediction at a time: two that take turns on a thread would keep twice as much alive. Storing goes on beside. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = latest.then(work);
  latest = result.catch(() => {});
  return result;
}

async function predict({ location, turn, setup }: PointTask) {
  const settings = settingsToRun(location.point);
  const job = await openAsked(location, turn, () => openPredictedJob(settings, openShelf(setup)));
  const request = {
    ...{ ...job.request, seed: turn.seed },
    onProgress: () => {
      if (Atomics.load(setup.stopFlag, 0) === 1) throw new Stopped();
    },
  };
  return { request, spec: job.spec, workload: job.workload, result: await simulateRun(request) };
}
