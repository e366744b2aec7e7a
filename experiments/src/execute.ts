/** One run from open checkpoints to a stored record: what `run` and `start` share. */

import {
  type Checkpoint,
  type MachineSettings,
  memoryOverTime,
  type PolicyInput,
  type RunResult,
  runEngine,
  type StrategyName,
  type Tokenizer,
  toChromeTrace,
} from '@specoffload/engine';
import { formatBytes, plural } from './format.js';
import { describeProgress, type Output } from './output.js';
import type { Workload } from './prompts.js';
import {
  buildRecord,
  collectProvenance,
  formatTokens,
  type MeasuredRecord,
  type StoredRun,
  storeRun,
} from './store/index.js';

export interface RunPlan {
  readonly experiment: string;
  readonly resultsDirectory: string;
  readonly strategy: StrategyName;
  readonly policy: PolicyInput;
  readonly target: Checkpoint;
  /** Left out of the run when the strategy does not speculate. */
  readonly draft: Checkpoint | null;
  /** The target's. */
  readonly tokenizer: Tokenizer | null;
  readonly workload: Workload;
  readonly maxNewTokens: number;
  readonly stopAtEos: boolean;
  readonly machine: Required<MachineSettings>;
  readonly seed: number;
  readonly firstRepeat: number;
}

export interface ExecutedRun extends StoredRun<MeasuredRecord> {
  readonly result: RunResult;
}

/** @throws UserError from the engine or the store; the signal's reason when it aborts. */
export async function executeRun(plan: RunPlan, output: Output, signal: AbortSignal): Promise<ExecutedRun> {
  const draft = plan.strategy === 'none' ? null : plan.draft;
  const provenance = await collectProvenance();
  const createdAt = new Date();
  const result = await runFollowed({ ...plan, draft }, output, signal);
  const { target, machine, workload, maxNewTokens, stopAtEos, seed } = plan;
  const run = {
    result,
    target,
    draft,
    machine,
    workload,
    maxNewTokens,
    stopAtEos,
    seed,
    createdAt,
    provenance,
  };
  const stored = await storeRun(
    plan.resultsDirectory,
    plan.experiment,
    {
      recordOf: (repeat) => buildRecord(run, repeat),
      firstRepeat: plan.firstRepeat,
      trace: JSON.stringify(toChromeTrace(result.spans, memoryOverTime(result.memoryLog))),
      tokens: formatTokens(workload.prompts, result.sequences, plan.tokenizer),
    },
    signal,
  );
  return { ...stored, result };
}

/** `16 prompts, at most 32 new tokens each; target 2.00 GB, device 500 MB, host 500 MB`. */
export function describePlan(plan: Omit<RunPlan, 'strategy'>): string {
  const { workload, maxNewTokens, target, machine } = plan;
  return (
    `${plural(workload.prompts.length, 'prompt')}, at most ${plural(maxNewTokens, 'new token')} each; ` +
    `target ${formatBytes(target.bytes)}, device ${formatBytes(machine.deviceBytes)}, host ${formatBytes(machine.hostBytes)}`
  );
}

async function runFollowed(plan: RunPlan, output: Output, signal: AbortSignal): Promise<RunResult> {
  const follower = output.follow();
  try {
    return await runEngine({
      target: plan.target,
      draft: plan.draft,
      prompts: plan.workload.prompts,
      strategy: plan.strategy,
      policy: plan.policy,
      maxNewTokens: plan.maxNewTokens,
      machine: plan.machine,
      stopAtEos: plan.stopAtEos,
      onProgress: (progress) => follower.update(() => describeProgress(plan.strategy, progress)),
      signal,
    });
  } finally {
    follower.end();
  }
}
