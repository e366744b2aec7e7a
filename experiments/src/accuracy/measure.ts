/** One point of the grid: a job, what came of it on a machine that was left alone, and what had been predicted. */

import {
  type AcceptanceTrace,
  type ArithmeticName,
  type Checkpoint,
  type MachineModel,
  type RunResult,
  type SamplingInput,
  simulateRun,
} from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { namedArithmetic } from '../inputs/devices.js';
import type { Workload } from '../inputs/prompts.js';
import { describeConditions, watchConditions } from '../job/conditions.js';
import { type Job, runPlan, toPrediction } from '../job/execute.js';
import { type ConditionsRecord, type CounterpartSpec, specOfCounterpart, specOfRun } from '../store/index.js';
import type { Output } from '../terminal/output.js';
import { type Comparison, compare } from './compare.js';
import type { GridPoint } from './grid.js';

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
  readonly spec: CounterpartSpec;
}

export async function comparePoint(
  request: GridRequest,
  point: GridPoint,
  output: Output,
  signal: AbortSignal,
): Promise<PointComparison> {
  const job = jobOf(request, point);
  const predicted = await simulateRun(toPrediction(job, request.machine, request.acceptance));
  const { measured, conditions } = await measureUndisturbed(() => runPlan(job, signal), output);
  const spec = specOfCounterpart(specOfRun(job), request.machine);
  return { ...compare(point, measured, predicted, conditions), spec };
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

/** How often a disturbed run is measured before the least disturbed one counts. */
const mostAttempts = 3;

interface Measurement {
  readonly measured: RunResult;
  readonly conditions: ConditionsRecord | null;
}

/** Measures until the machine was left alone, at most a few times. */
async function measureUndisturbed(run: () => Promise<RunResult>, output: Output): Promise<Measurement> {
  const disturbance = ({ conditions }: Measurement) =>
    (conditions?.stolenShare ?? 0) + (conditions?.othersShare ?? 0);
  let best: Measurement | null = null;
  for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
    const watch = watchConditions();
    const measured = await run();
    const latest = { measured, conditions: await watch.stop() };
    if (!best || disturbance(latest) < disturbance(best)) best = latest;
    if (!latest.conditions?.isDisturbed) return latest;
    if (attempt < mostAttempts)
      output.note(`accuracy: ${describeConditions(latest.conditions)}; measuring again`);
  }
  return best as Measurement;
}
