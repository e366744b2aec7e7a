/**
 * Measures this machine by running on it: a few short real runs with different batches and candidates, whose spans
 * show what each kind of task takes while all lanes are busy. Lanes that share cores and memory slow each other down,
 * so rates measured one at a time would promise too much.
 */

import type { PolicyInput, RunProgress, StrategyName } from '@specoffload/engine';
import { type Job, runPlan } from '../job/execute.js';
import { type Measurement, measureUndisturbed } from '../job/undisturbed.js';

/** One of the short runs. */
interface ProfileRun extends Pick<Job, 'strategy' | 'policy' | 'maxNewTokens'> {
  readonly prompts: number;
}

const run = (
  strategy: StrategyName,
  prompts: number,
  maxNewTokens: number,
  policy: PolicyInput = {},
): ProfileRun => ({ strategy, prompts, maxNewTokens, policy });

/**
 * Row counts from 1 to some hundreds, for experts as well as for whole batches: many sequences with many candidates,
 * few with none. Interleaving shows the draft's steps while the target computes, and where nothing overlaps what a lane
 * does that has cores and memory to itself.
 */
const profileRuns: readonly ProfileRun[] = [
  run('none', 2, 4),
  run('none', 8, 4),
  run('serial', 4, 7, { candidates: 2 }),
  run('accelerate', 4, 4), // in the middle: what it shows is held against the others
  run('serial', 8, 9, { candidates: 4 }),
  run('serial', 16, 9, { candidates: 4 }),
  run('specoffload', 16, 9, { candidates: 8 }),
  run('flexgen', 8, 4, { microBatch: 4 }),
];

export const numProfilePrompts = 16;

/** @param shared whose workload has at least {@link numProfilePrompts} */
export function profileJobs(shared: Omit<Job, keyof ProfileRun | 'stopAtEos'>): readonly Job[] {
  return profileRuns.map(({ prompts, ...own }) => ({
    ...{ ...shared, ...own, stopAtEos: false },
    workload: { ...shared.workload, prompts: shared.workload.prompts.slice(0, prompts) },
  }));
}

/** With the run that tells the machine's pace at the beginning, in the middle and at the end. */
export function withPaceRuns(jobs: readonly Job[], pace: Job): readonly Job[] {
  const middle = Math.ceil(jobs.length / 2);
  return [pace, ...jobs.slice(0, middle), pace, ...jobs.slice(middle), pace];
}

export interface MeasureRequest {
  readonly jobs: readonly Job[];
  readonly signal: AbortSignal;
  readonly onRun: (job: Job, index: number) => void;
  readonly onProgress: (progress: RunProgress) => void;
  /** Told why a run is measured again. */
  readonly onAgain: (reason: string) => void;
}

export async function measureRuns(request: MeasureRequest): Promise<readonly Measurement[]> {
  const { jobs, signal, onRun, onProgress, onAgain } = request;
  const measurements: Measurement[] = [];
  for (const [index, job] of jobs.entries()) {
    onRun(job, index);
    measurements.push(await measureUndisturbed(() => runPlan(job, signal, onProgress), onAgain));
  }
  return measurements;
}
