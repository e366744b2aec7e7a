/** One run from open checkpoints to a stored record: what `run` and `start` share. */

import {
  type Acceptance,
  type Checkpoint,
  type DrafterName,
  type MachineModel,
  memoryOverTime,
  type PolicyInput,
  type ProductNoise,
  type RunProgress,
  type RunRequest,
  type RunResult,
  runEngine,
  type SamplingInput,
  type SimulationRequest,
  type StrategyName,
  type TalkRequest,
  type Tokenizer,
  toChromeTrace,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { type LocalSettings, withLimits } from '../inputs/caps.js';
import { toDevice } from '../inputs/devices.js';
import type { Workload } from '../inputs/prompts.js';
import {
  buildRecord,
  collectProvenance,
  formatTokens,
  type MeasuredRecord,
  type MeasuredRun,
  type StoredRun,
  specOfRun,
  storeRun,
} from '../store/index.js';
import { formatBytes, formatSeconds, plural } from '../terminal/format.js';
import { describeProgress, type Output } from '../terminal/output.js';
import { type CompletionRequest, Completions } from './completion.js';
import { type NoiseEffect, noiseEffectOf } from './noise-effect.js';

/** What a run is made of, opened: its spec is `specOfRun`. */
export interface Job {
  readonly strategy: StrategyName;
  readonly policy: PolicyInput;
  readonly target: Checkpoint;
  /** Left out of the run when the strategy does not speculate. */
  readonly draft: Checkpoint | null;
  /** Who proposes. @default model: the draft model */
  readonly drafter?: DrafterName;
  /** The target's. */
  readonly tokenizer: Tokenizer | null;
  readonly workload: Workload;
  readonly maxNewTokens: number;
  readonly stopAtEos: boolean;
  /** The seed is the run's, where that has one. @default the most likely tokens are chosen */
  readonly sampling?: SamplingInput | undefined;
  /** Noise of analogue products; its seed is the run's. @default none */
  readonly productNoise?: Omit<ProductNoise, 'seed'> | undefined;
  /** Texts that end a sequence. @default none */
  readonly stops?: readonly string[];
  readonly machine: LocalSettings;
}

/** One run of it. */
export interface JobPlan extends Job {
  readonly seed: number;
}

/** What is run, and where its record goes. */
export interface RunPlan extends JobPlan {
  readonly experiment: string;
  readonly resultsDirectory: string;
  readonly firstRepeat: number;
}

/** A run's result; of one whose products were disturbed, beside the same run without. */
export type JobResult = RunResult & { readonly noiseEffect?: NoiseEffect };

export interface ExecutedRun extends StoredRun<MeasuredRecord> {
  readonly result: JobResult;
}

/** @throws UserError from the engine or the store; the signal's reason when it aborts. */
export async function executeRun(
  plan: RunPlan,
  output: Output,
  signal: AbortSignal,
  onProgress: (progress: RunProgress) => void = () => {},
  onText?: CompletionRequest['onText'],
): Promise<ExecutedRun> {
  const provenance = await collectProvenance();
  const createdAt = new Date();
  const result = await runFollowed(plan, output, signal, onProgress, onText);
  const run = toMeasuredRun(plan, { result, createdAt, provenance });
  const stored = await storeRun(
    plan.resultsDirectory,
    plan.experiment,
    {
      recordOf: (repeat) => buildRecord(run, repeat),
      firstRepeat: plan.firstRepeat,
      ...sideFilesOf(plan, result),
    },
    signal,
  );
  return { ...stored, result };
}

/** A plan and what came of it. */
export function toMeasuredRun(
  plan: JobPlan,
  outcome: Pick<MeasuredRun, 'result' | 'createdAt' | 'provenance'>,
): MeasuredRun {
  return { ...plan, ...outcome, spec: specOfRun(plan) };
}

/** What a run leaves beside its record: the timeline and the tokens. */
export function sideFilesOf({ workload, tokenizer }: Job, { spans, sequences, memoryLog }: RunResult) {
  return {
    trace: JSON.stringify(toChromeTrace(spans, memoryOverTime(memoryLog))),
    tokens: formatTokens(workload.prompts, sequences, tokenizer),
  };
}

/** `16 prompts, at most 32 new tokens each; target 2.00 GB, device 500 MB, host 500 MB`. */
export function describePlan(plan: Omit<Job, 'strategy'>): string {
  const { workload, maxNewTokens, target, machine } = plan;
  return (
    `${plural(workload.prompts.length, 'prompt')}, at most ${plural(maxNewTokens, 'new token')} each; ` +
    `target ${formatBytes(target.bytes)}, device ${formatBytes(machine.deviceBytes)}, host ${formatBytes(machine.hostBytes)}`
  );
}

async function runFollowed(
  plan: JobPlan,
  output: Output,
  signal: AbortSignal,
  onProgress: (progress: RunProgress) => void,
  onText?: CompletionRequest['onText'],
): Promise<JobResult> {
  const followed = {
    ...plan,
    onProposingStopped: (seconds: number) =>
      output.note(
        `${plan.strategy}: after ${formatSeconds(seconds)} proposing is found not to pay; the run goes on without, and looks again now and then`,
      ),
  };
  // A text that comes piece by piece is progress enough, and a line that updates itself would run into it.
  if (onText) return runPlan(followed, signal, onProgress, onText);
  const follower = output.follow();
  try {
    return await runPlan(followed, signal, (progress) => {
      follower.update(() => describeProgress(plan.strategy, progress));
      onProgress(progress);
    });
  } finally {
    follower.end();
  }
}

/**
 * @param onText told of every piece of every continuation
 * @throws UserError from the engine, or where stop strings meet a target without a tokenizer; the signal's reason when it
 * aborts.
 */
export async function runPlan(
  plan: Job & Partial<Pick<JobPlan, 'seed'>> & Pick<RunRequest, 'onProposingStopped'>,
  signal?: AbortSignal | undefined,
  onProgress: (progress: RunProgress) => void = () => {},
  onText?: CompletionRequest['onText'],
): Promise<JobResult> {
  const { workload, stops = [] } = plan;
  const completions = onText || stops.length > 0 ? new Completions(completionsOf(plan, onText)) : null;
  const result = await runEngine({
    ...{ ...toTalkRequest(plan), onProgress, onToken: completions?.onToken },
    ...(signal ? { signal } : {}),
    prompts: workload.prompts,
  });
  completions?.end();
  const { productNoise, ...quiet } = plan;
  if (!productNoise?.size) return result;
  return { ...result, noiseEffect: noiseEffectOf(await runPlan(quiet, signal), result) };
}

/** As the engine takes it, but for the prompts. */
export function toTalkRequest(plan: Omit<Job, 'workload'> & Partial<Pick<JobPlan, 'seed'>>): TalkRequest {
  const { machine, sampling, productNoise, seed = sampling?.seed } = plan;
  return {
    ...{ ...plan, device: toDevice(machine) },
    productNoise: productNoise?.size
      ? { ...productNoise, ...(seed === undefined ? {} : { seed }) }
      : undefined,
    sampling: sampling && { ...sampling, ...(seed === undefined ? {} : { seed }) },
  };
}

/** What a finished run wrote, stop strings left out. */
export function textsOf(plan: Job, { sequences }: Pick<RunResult, 'sequences'>): readonly string[] {
  const completions = new Completions(completionsOf(plan));
  for (const [index, { ids }] of sequences.entries()) for (const id of ids) completions.onToken(index, id);
  return completions.end();
}

function completionsOf(
  { tokenizer, workload, stops }: Job,
  onText?: CompletionRequest['onText'],
): CompletionRequest {
  if (tokenizer) return { tokenizer, prompts: workload.prompts, ...(stops ? { stops } : {}), onText };
  throw new UserError(
    'the target has no tokenizer.json, so that its tokens are no text; add the file, or leave out what asks for text',
  );
}

/** The same job as a question to the virtual machine: on a machine's rates, within the job's own limits. */
export function toPrediction(
  job: Job,
  machine: MachineModel,
  acceptance: Acceptance | null,
): Omit<SimulationRequest, 'signal'> {
  return {
    ...{ ...job, acceptance },
    promptLengths: job.workload.prompts.map(({ length }) => length),
    machine: withLimits(machine, job.machine),
  };
}
