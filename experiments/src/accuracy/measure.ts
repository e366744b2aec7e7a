/** One point of the grid: a job, what came of it on a machine that was left alone, and what had been predicted. */

import {
  type AcceptanceTrace,
  type ArithmeticName,
  type Checkpoint,
  type MachineModel,
  type Pace,
  type RoutingReport,
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
import { type Comparison, deviationOf } from './compare.js';
import type { GridPoint } from './grid.js';
import { judgeOwnPace } from './own-pace.js';
import { atPace, commonPace, meanPace, paceSince } from './pace.js';
import { paceIn, paceJob, pacePrompts } from './pace-job.js';

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
  /** Which experts the texts' rows choose. @default any as likely as any other */
  readonly routing?: RoutingReport | null;
  /** The target with packed weights, for points that ask for it. */
  readonly packed?: Checkpoint;
  /** Budgets of the run that tells the pace, as a point's. @default 0.25 */
  readonly paceBudgetShare?: number;
}

/** A comparison, and what was compared: the prediction's spec holds the run's. */
export interface PointComparison extends Comparison {
  readonly measured: RunResult;
  readonly predicted: SimulationResult;
  readonly spec: CounterpartSpec;
}

/**
 * @param paceBefore of the machine, just now; null: nobody asks how fast it is meanwhile
 * @param known what was predicted of the point in an earlier round, which has not changed
 */
export async function comparePoint(
  request: GridRequest,
  point: GridPoint,
  output: Output,
  signal: AbortSignal,
  paceBefore: Pace | null = null,
  known?: SimulationResult,
): Promise<PointComparison & { readonly paceAfter: Pace | null }> {
  const job = jobOf(request, point);
  const { acceptance, routing } = request;
  const predictOn = (machine: MachineModel) =>
    simulateRun({
      ...toPrediction(job, machine, acceptance),
      ...(routing && { routing: { rowsByExpert: routing.rowsByExpert } }),
      signal,
    });
  const predicted = known ?? (await predictOn(request.machine));
  const { measured, conditions } = await measureUndisturbed(
    () => runPlan(job, signal),
    (reason) => output.note(`accuracy: ${reason}; measuring again`),
  );
  const compared = {
    ...{ point, measured, conditions, ...deviationOf(measured, predicted), predicted },
    atOwnPace: await judgeOwnPace(measured, predicted, request.machine, predictOn),
    spec: specOfCounterpart(specOfRun(job), request.machine),
  };
  if (!paceBefore) return { ...compared, paceAfter: null };
  const paceAfter = await measurePace(request, output, signal);
  const pace = meanPace([paceBefore, paceAfter]);
  const atItsPace = {
    pace,
    ...deviationOf(measured, await predictOn(atPace(request.machine, pace))),
  };
  return { ...compared, paceAfter, atItsPace };
}

/** How fast the machine is just now, beside how fast it was when its rates were measured. */
export async function measurePace(request: GridRequest, output: Output, signal: AbortSignal): Promise<Pace> {
  const { machine, paceBudgetShare: budgetShare = 0.25 } = request;
  const job = paceJob(jobOf(request, { strategy: 'none', policy: {}, prompts: pacePrompts, budgetShare }));
  const { measured } = await measureUndisturbed(
    () => runPlan(job, signal),
    (reason) => output.note(`accuracy: ${reason} while its pace was measured; measuring again`),
  );
  const now = await paceIn(job, measured, machine, signal);
  return commonPace(machine.pace ? paceSince(machine.pace, now) : now);
}

function jobOf(
  { workload, packed, ...request }: GridRequest,
  { strategy, policy, prompts, budgetShare, isPacked }: GridPoint,
): Job {
  const { target: plain, draft, maxNewTokens, device, arithmetic, sampling, diskBytesPerSecond } = request;
  const target = isPacked && packed ? packed : plain;
  const budget = Math.floor(plain.bytes * budgetShare);
  return {
    ...{ strategy, policy, target, draft, tokenizer: null, maxNewTokens, sampling, stopAtEos: false },
    workload: { name: workload.name, prompts: workload.prompts.slice(0, prompts) },
    machine: localSettings({
      ...{ device, deviceBytes: budget, hostBytes: budget, ...namedArithmetic({ arithmetic }) },
      caps: { diskBytesPerSecond },
    }),
  };
}
