/** One point of the grid: a job, what came of it on a machine that was left alone, and what had been predicted. */

import {
  type AcceptanceTrace,
  type ArithmeticName,
  type Checkpoint,
  type MachineModel,
  type RunResult,
  type SamplingInput,
  type SimulationResult,
  simulateRun,
} from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { namedArithmetic } from '../inputs/devices.js';
import type { Workload } from '../inputs/prompts.js';
import { type Job, runPlan, toPrediction } from '../job/execute.js';
import { measureUndisturbed } from '../job/undisturbed.js';
import { type CounterpartSpec, specOfCounterpart, specOfRun } from '../store/index.js';
import type { Output } from '../terminal/output.js';
import { type Comparison, compare } from './compare.js';
import type { GridPoint } from './grid.js';
import { atPace, type Pace, paceBetween, paceOf } from './pace.js';

/** What all points of a grid share. */
export interface GridRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  readonly workload: Workload;
  readonly maxNewTokens: number;
  /** Kind of device that runs. */
  readonly device: string;
  readonly arithmetic?: ArithmeticName;
  /** How tokens are drawn, with the seed. @default greedily */
  readonly sampling?: SamplingInput | undefined;
  /** null: the disk is not paced. */
  readonly diskBytesPerSecond: number | null;
  /** Whose rates predict. */
  readonly machine: MachineModel;
  readonly acceptance: AcceptanceTrace;
}

/** A comparison, and what was compared: the prediction's spec holds the run's. */
export interface PointComparison extends Comparison {
  readonly measured: RunResult;
  readonly predicted: SimulationResult;
  readonly spec: CounterpartSpec;
}

/** @param paceBefore of the machine, just now; null: nobody asks how fast it is meanwhile */
export async function comparePoint(
  request: GridRequest,
  point: GridPoint,
  output: Output,
  signal: AbortSignal,
  paceBefore: Pace | null = null,
): Promise<PointComparison & { readonly paceAfter: Pace | null }> {
  const job = jobOf(request, point);
  const predictOn = (machine: MachineModel) =>
    simulateRun({ ...toPrediction(job, machine, request.acceptance), signal });
  const predicted = await predictOn(request.machine);
  const { measured, conditions } = await measureUndisturbed(
    () => runPlan(job, signal),
    (reason) => output.note(`accuracy: ${reason}; measuring again`),
  );
  const comparison = compare(point, measured, predicted, conditions);
  const spec = specOfCounterpart(specOfRun(job), request.machine);
  const compared = { ...comparison, measured, predicted, spec };
  if (!paceBefore) return { ...compared, paceAfter: null };
  const paceAfter = await measurePace(request, output, signal);
  const pace = paceBetween(paceBefore, paceAfter);
  const { error, laneError, ...paced } = compare(
    ...([point, measured, await predictOn(atPace(request.machine, pace)), conditions] as const),
  );
  const atItsPace = { pace, predicted: paced.predicted, error, laneError };
  return { ...compared, paceAfter, atItsPace };
}

/** Reads a few prompts and writes a few tokens with the weights coming all the while: two or three seconds. */
const paceJob = {
  point: { strategy: 'none', prompts: 4, budgetShare: 0.25, policy: {} } satisfies GridPoint,
  maxNewTokens: 4,
};

/** How fast the machine is just now, lane by lane, beside what its rates say. */
export async function measurePace(request: GridRequest, output: Output, signal: AbortSignal): Promise<Pace> {
  const { machine } = request;
  const job = jobOf({ ...request, maxNewTokens: paceJob.maxNewTokens }, paceJob.point);
  const { measured } = await measureUndisturbed(
    () => runPlan(job, signal),
    (reason) => output.note(`accuracy: ${reason} while its pace was measured; measuring again`),
  );
  // As many experts as its routers really chose: only time is compared.
  const { routing } = measured;
  const predicted = await simulateRun({ ...toPrediction(job, machine, null), routing, signal });
  return paceOf(measured, predicted, machine);
}

function jobOf(
  { workload, ...request }: GridRequest,
  { strategy, policy, prompts, budgetShare }: GridPoint,
): Job {
  const { target, draft, maxNewTokens, device, arithmetic, sampling, diskBytesPerSecond } = request;
  const budget = Math.floor(target.bytes * budgetShare);
  return {
    ...{ strategy, policy, target, draft, tokenizer: null, maxNewTokens, sampling, stopAtEos: false },
    workload: { name: workload.name, prompts: workload.prompts.slice(0, prompts) },
    machine: localSettings({
      ...{ device, deviceBytes: budget, hostBytes: budget, ...namedArithmetic({ arithmetic }) },
      caps: { diskBytesPerSecond },
    }),
  };
}
