/** How long an experiment's runs should take, before the first of them: a guess, and said to be one. */

import { existsSync } from 'node:fs';
import { limitsOf, type MachineModel, simulateRun, transferLane } from '@specoffload/engine';
import { mean } from 'simple-statistics';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { type Point, walkPoints } from '../definitions/expand.js';
import { usualAcceptance } from '../inputs/usual-acceptance.js';
import { type Job, toPrediction } from '../job/execute.js';
import { describePayoff } from '../job/payoff.js';
import { localMachinePath } from '../paths.js';
import { unlessRefused } from '../terminal/errors.js';
import { withDraftSpeed } from '../tunnel/index.js';
import { openMeasuredJob } from './measured-job.js';
import type { SweepRequest } from './options.js';
import { openPredictedJob } from './predicted-job.js';
import type { Shelf } from './shelf.js';

/** Of so many points the time is estimated; the others are taken to be like them. */
const mostSamples = 8;

export interface PlannedRuns {
  readonly points: number;
  readonly runs: number;
}

export interface Estimate {
  /** Null where nothing tells. */
  readonly seconds: number | null;
  /** Of those points that were looked at and propose: what is said where that is not predicted to pay. */
  readonly unpaid: readonly string[];
}

/**
 * Seconds that so many runs of the experiment's points should take. Measured runs are predicted on the machine file that
 * `specoffload profile` has written; predictions are tried out.
 */
export async function estimate(
  { definition, workers, signal, createRunner }: SweepRequest,
  shelf: Shelf,
  { points, runs }: PlannedRuns,
): Promise<Estimate> {
  if (createRunner) return { seconds: null, unpaid: [] }; // of other machines nobody knows
  const samples = await sampleOf(definition, points, signal);
  if (samples.length === 0) return { seconds: null, unpaid: [] };
  if (definition.kind === 'simulated')
    return { seconds: ((await tryPredictions(samples, shelf, signal)) * runs) / workers, unpaid: [] };
  // A machine file that cannot be read costs the estimate only: the sweep runs without one.
  const machine = existsSync(localMachinePath) ? await unlessRefused(() => shelf.machine('this')) : null;
  if (machine === null) return { seconds: null, unpaid: [] };
  const seconds: number[] = [];
  const unpaid: string[] = [];
  for (const { settings } of samples) {
    signal.throwIfAborted();
    const { plan } = await openMeasuredJob(settings, shelf);
    const own = await withTunnelDraft(machine, settings, shelf);
    const predicted = await predictMeasurement(plan, machine, own, shelf, signal);
    if (predicted !== null) seconds.push(predicted);
    const sentence = describePayoff(plan, own);
    if (sentence !== null) unpaid.push(sentence);
  }
  return { seconds: seconds.length === 0 ? null : mean(seconds) * runs, unpaid };
}

async function sampleOf(
  definition: ExperimentDefinition,
  numPoints: number,
  signal: AbortSignal,
): Promise<Point[]> {
  const step = Math.max(1, numPoints / mostSamples);
  const samples: Point[] = [];
  let index = 0;
  for await (const point of walkPoints(definition, signal)) {
    const isPlanned = point.settings.planned !== undefined; // which takes longer than the estimate may
    if (index >= Math.round(samples.length * step) && !isPlanned) samples.push(point);
    index += 1;
  }
  return samples;
}

/** Node compiles while it runs the first few dozens; a sweep is long enough not to notice, and this is not. */
const trialSeconds = 1;

/** @returns seconds of one prediction */
async function tryPredictions(samples: readonly Point[], shelf: Shelf, signal: AbortSignal): Promise<number> {
  const start = performance.now();
  const seconds: number[] = [];
  do {
    for (const { settings } of samples) {
      signal.throwIfAborted();
      const begin = performance.now();
      const { request } = await openPredictedJob(settings, shelf);
      await unlessRefused(() => simulateRun({ ...request, seed: 1, signal }));
      seconds.push((performance.now() - begin) / 1000);
    }
  } while (performance.now() - start < 1000 * trialSeconds);
  return mean(seconds.slice(-samples.length));
}

/** Threads, pools and their first pages. */
const setUpSeconds = 0.5;

/**
 * @param own the machine with the draft's speed that its tunnel has measured
 * @returns null for what does not fit
 */
async function predictMeasurement(
  plan: Job,
  machine: MachineModel,
  own: MachineModel,
  shelf: Shelf,
  signal: AbortSignal,
): Promise<number | null> {
  const { target, draft, drafter, workload } = plan;
  shelf.noteForeignCaps(machine, plan.machine.caps);
  const request = toPrediction(plan, own, usualAcceptance(drafter, workload.name, plan.maxNewTokens));
  const result = await unlessRefused(() => simulateRun({ ...request, seed: 1, signal }));
  if (result === null) return null;
  const { machine: limited } = request;
  const { deviceBytes, hostBytes } = limitsOf(limited);
  const placedBytes = Math.min(target.bytes + (draft?.bytes ?? 0), deviceBytes + hostBytes);
  return setUpSeconds + placedBytes / transferLane(limited, 'disk').bytesPerSecond + result.seconds;
}

/** A profile is made with a small draft; how much faster a larger one is than it promises, its tunnel has measured. */
async function withTunnelDraft(
  machine: MachineModel,
  { machine: where = 'local' }: Point['settings'],
  shelf: Shelf,
): Promise<MachineModel> {
  const draftSpeed = where === 'local' ? null : (await shelf.tunnel(String(where))).draftSpeed;
  return draftSpeed === null ? machine : withDraftSpeed(machine, draftSpeed);
}
