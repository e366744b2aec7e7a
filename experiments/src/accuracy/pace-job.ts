/** The short run that is always the same, and tells how fast the machine is just then. */

import { type MachineModel, type Pace, type RunResult, simulateRun } from '@specoffload/engine';
import { type Job, toPrediction } from '../job/execute.js';
import { paceOf } from './pace.js';

/** It takes the first of a workload. */
export const pacePrompts = 4;

/** Reads a few prompts and writes a few tokens, with the weights coming all the while: two or three seconds. */
export function paceJob(shared: Omit<Job, 'strategy' | 'policy' | 'maxNewTokens' | 'stopAtEos'>): Job {
  const { workload } = shared;
  return {
    ...{ ...shared, strategy: 'none', policy: {}, maxNewTokens: 4, stopAtEos: false },
    workload: { ...workload, prompts: workload.prompts.slice(0, pacePrompts) },
  };
}

/** @returns beside what the machine's rates say */
export async function paceIn(
  job: Job,
  measured: RunResult,
  machine: MachineModel,
  signal: AbortSignal,
): Promise<Pace> {
  // As many experts as its routers really chose: only time is compared.
  const { routing } = measured;
  const predicted = await simulateRun({ ...toPrediction(job, machine, null), routing, signal });
  return paceOf(measured, predicted, machine);
}
