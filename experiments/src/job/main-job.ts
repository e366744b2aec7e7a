/** The main job: one target that does not fit into its memory, written with by several strategies that differ in nothing else. */

import {
  type ArithmeticName,
  largest,
  type RunProgress,
  type StrategyName,
  type Tokenizer,
} from '@specoffload/engine';
import { currentSignal } from '@specoffload/input';
import { localSettings } from '../inputs/caps.js';
import { namedArithmetic } from '../inputs/devices.js';
import { prepareTarget } from '../inputs/inflated-target.js';
import { preparePackedTarget } from '../inputs/packed-target.js';
import { openPair } from '../inputs/pair.js';
import { loadWorkload, type Vocabulary, type Workload, workloadNames } from '../inputs/prompts.js';
import { cacheDirectory, pairPaths } from '../paths.js';
import type { Output } from '../terminal/output.js';
import { compareSequences } from './compare.js';
import { type ExecutedRun, executeRun, type RunPlan } from './execute.js';
import { notePayoff } from './payoff.js';
import { runName, type TokenCheck } from './summary.js';

/** Everything but the strategy: the runs differ in nothing else. */
export type MainJob = Omit<RunPlan, 'strategy'>;

/** What makes the job big or small. */
interface JobSize {
  readonly targetBytes: number;
  readonly promptsPerWorkload: number;
  readonly maxNewTokens: number;
}

// Few enough sequences that verifying their candidates takes less time than reading the weights: the regime that
// offloading is about.
const fullSize: JobSize = { targetBytes: 2e9, promptsPerWorkload: 2, maxNewTokens: 32 };
const quickSize: JobSize = { targetBytes: 1e8, promptsPerWorkload: 1, maxNewTokens: 4 };

/** What the main job runs; the first is what the others' tokens are compared with. */
export const mainStrategies = ['none', 'serial', 'specoffload'] as const satisfies readonly StrategyName[];

/** Device and host together hold half of the target: whatever is kept, the rest streams from disk in every pass. */
const deviceShare = 1 / 4;
const hostShare = 1 / 4;

export interface MainJobOptions {
  /** A smaller target, fewer prompts and tokens. */
  readonly quick: boolean;
  /** Record store. */
  readonly results: string;
  /** Kind of device. @default cpu */
  readonly device?: string;
  /** @default f32 */
  readonly arithmetic?: ArithmeticName;
}

/** Opens the target, which is made on first use, its draft, and one prompt after the other of each workload. */
export async function openMainJob(
  { quick, results, device, arithmetic }: MainJobOptions,
  output: Output,
  signal: AbortSignal = currentSignal() ?? new AbortController().signal,
): Promise<MainJob> {
  const { targetBytes, promptsPerWorkload, maxNewTokens } = quick ? quickSize : fullSize;
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: targetBytes };
  const { directory } = await prepareTarget(request, output, signal);
  const pair = await openPair(directory, pairPaths.draft);
  const { target, tokenizer } = pair;
  return {
    ...pair,
    workload: await loadMixedWorkload(promptsPerWorkload, { size: target.spec.vocabSize, tokenizer }),
    ...{ experiment: 'main', resultsDirectory: results, policy: {}, maxNewTokens },
    machine: localSettings({
      deviceBytes: Math.floor(target.bytes * deviceShare),
      hostBytes: Math.floor(target.bytes * hostShare),
      ...(device === undefined ? {} : { device }),
      ...namedArithmetic({ arithmetic }),
    }),
    ...{ stopAtEos: true, seed: 0, firstRepeat: 0 },
  };
}

export interface MainJobRunOptions {
  /** The first is what the others' tokens are compared with. @default none, serial, specoffload */
  readonly strategies?: readonly StrategyName[];
  /** Whether the fastest runs once more, from the same weights packed without loss. @default false */
  readonly packs?: boolean;
  /** Of the run under way, whose strategy comes first. */
  readonly onProgress?: (strategy: StrategyName, progress: RunProgress) => void;
  readonly onRun?: (run: ExecutedRun) => void;
  readonly signal?: AbortSignal;
}

export interface MainJobOutcome {
  /** In the order of the strategies. */
  readonly runs: readonly ExecutedRun[];
  /** Every other run against the first. */
  readonly checks: readonly TokenCheck[];
}

/** Runs several strategies, one after the other, and compares what they wrote. */
export async function runMainJob(
  job: MainJob,
  output: Output,
  options: MainJobRunOptions = {},
): Promise<MainJobOutcome> {
  const { strategies = mainStrategies, onProgress = () => {}, onRun = () => {} } = options;
  const { signal = currentSignal() ?? new AbortController().signal } = options;
  const runs: ExecutedRun[] = [];
  const add = async (plan: RunPlan) => {
    signal.throwIfAborted();
    const run = await executeRun(plan, output, signal, (progress) => onProgress(plan.strategy, progress));
    onRun(run);
    runs.push(run);
  };
  for (const strategy of strategies) {
    await notePayoff({ ...job, strategy }, output);
    await add({ ...job, strategy });
  }
  if (options.packs) {
    const target = await preparePackedTarget(job.target, output, signal);
    await add({ ...job, target, strategy: strategies[indexOfFastest(runs)] });
  }
  return { runs, checks: checkTokens(runs) };
}

function indexOfFastest(runs: readonly ExecutedRun[]): number {
  const speeds = runs.map(({ result }) => result.tokensPerSecond);
  return speeds.indexOf(largest(speeds));
}

function checkTokens([reference, ...others]: readonly ExecutedRun[]): TokenCheck[] {
  return others.map(({ record, result }) => ({
    strategy: runName(record),
    comparison: compareSequences(reference!.result, result),
  }));
}

/** One prompt of each workload, then the next of each: so both of two batches get some of everything. */
export async function loadMixedWorkload(
  promptsPerWorkload: number,
  vocabulary: Vocabulary,
): Promise<Workload> {
  const workloads = await Promise.all(
    workloadNames.map((name) => loadWorkload(name, promptsPerWorkload, vocabulary)),
  );
  const prompts = Array.from({ length: promptsPerWorkload }, (_, i) =>
    workloads.map((workload) => workload.prompts[i]),
  );
  return { name: 'mixed', prompts: prompts.flat() };
}

/** A prompt and what was made of it, as text. */
export interface WrittenText {
  readonly workload: string;
  readonly prompt: string;
  readonly continuation: string;
}

/** The first prompt of each workload and what the target made of it. */
export function firstTexts(
  { result }: ExecutedRun,
  { workload }: MainJob,
  tokenizer: Tokenizer,
): WrittenText[] {
  return workloadNames.map((name, i) => ({
    workload: name,
    prompt: tokenizer.decode(workload.prompts[i]),
    continuation: tokenizer.decode(result.sequences[i].ids),
  }));
}
