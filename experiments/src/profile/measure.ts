/**
 * Measures this machine by running on it: a few short real runs with different batches and candidates, whose spans
 * show what each kind of task takes while all lanes are busy. Lanes that share cores and memory slow each other down,
 * so rates measured one at a time would promise too much.
 */

import {
  type Checkpoint,
  type MachineSettings,
  type PolicyInput,
  type RunProgress,
  type RunResult,
  runEngine,
  type StrategyName,
} from '@specoffload/engine';

export interface MeasureRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  /** At least {@link numProfilePrompts}; token ids. */
  readonly prompts: readonly (readonly number[])[];
  readonly machine: MachineSettings;
  readonly signal: AbortSignal;
  readonly onRun: (run: ProfileRun, index: number, count: number) => void;
  readonly onProgress: (progress: RunProgress) => void;
}

/** One of the short runs. */
export interface ProfileRun {
  readonly strategy: StrategyName;
  readonly prompts: number;
  readonly maxNewTokens: number;
  readonly policy: PolicyInput;
}

/**
 * Row counts from 1 to some hundreds, for experts as well as for whole batches: many sequences with many candidates,
 * few with none. Interleaving shows the draft's steps while the target computes.
 */
export const profileRuns: readonly ProfileRun[] = [
  { strategy: 'none', prompts: 2, maxNewTokens: 4, policy: {} },
  { strategy: 'none', prompts: 8, maxNewTokens: 4, policy: {} },
  { strategy: 'serial', prompts: 4, maxNewTokens: 7, policy: { candidates: 2 } },
  { strategy: 'serial', prompts: 8, maxNewTokens: 9, policy: { candidates: 4 } },
  { strategy: 'serial', prompts: 16, maxNewTokens: 9, policy: { candidates: 4 } },
  { strategy: 'specoffload', prompts: 16, maxNewTokens: 9, policy: { candidates: 8 } },
  { strategy: 'flexgen', prompts: 8, maxNewTokens: 4, policy: { microBatch: 4 } },
];

export const numProfilePrompts = 16;

export async function measureRuns(request: MeasureRequest): Promise<readonly RunResult[]> {
  const { target, draft, prompts, machine, signal, onProgress } = request;
  const results: RunResult[] = [];
  for (const [index, run] of profileRuns.entries()) {
    request.onRun(run, index, profileRuns.length);
    results.push(
      await runEngine({
        ...{ target, draft, machine, signal, onProgress, stopAtEos: false },
        prompts: prompts.slice(0, run.prompts),
        strategy: run.strategy,
        policy: run.policy,
        maxNewTokens: run.maxNewTokens,
      }),
    );
  }
  return results;
}
