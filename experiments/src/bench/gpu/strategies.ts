/** Strategies on a GPU, on a target several times its budget, each beside what a profile of the same GPU predicts. */

import { statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  type AcceptanceRates,
  type Checkpoint,
  localPolicyFields,
  type MachineModel,
  multipliedElements,
  type PolicyInput,
  parseMachineModel,
  planRun,
  type RunOutcome,
  type RunResult,
  type StrategyName,
  simulateRun,
} from '@specoffload/engine';
import { localSettings } from '../../inputs/caps.js';
import { parseDevice } from '../../inputs/devices.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { type OpenPair, openPair } from '../../inputs/pair.js';
import { compareSequences } from '../../job/compare.js';
import { describePlan, executeRun, type Job, runPlan, toPrediction } from '../../job/execute.js';
import { loadMixedWorkload } from '../../job/main-job.js';
import { cacheDirectory, defaultResultsDirectory, pairPaths } from '../../paths.js';
import { describePolicy } from '../../plan/describe.js';
import { buildMachineFile } from '../../profile/machine-file.js';
import { measureRuns, profileJobs } from '../../profile/measure.js';
import { specOfRun } from '../../store/index.js';
import { formatChange, formatPercent, threeDigits } from '../../terminal/format.js';
import { describeProgress, type Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import { errorOf } from './verdicts.js';

export interface StrategySizes {
  /** Null: the shipped target as it is. */
  readonly targetBytes: number | null;
  readonly deviceBytes: number;
  /** Prompts that are run, of four workloads. */
  readonly prompts: number;
  /** That a prompt is cut to. */
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** The first of those that `specoffload profile` makes. */
  readonly profileRuns: number;
  /** That the planner may spend. */
  readonly mostSimulations: number;
}

/** Of the device's budget. */
const targetTimes = 4;

/** Of the target: what is run has room for all of it, so that the link binds; a profile has to see the disk, too. */
const hostShare = 1.25;
const profiledHostShare = 0.5;

export function strategySizes(isQuick: boolean, deviceBytes: number | null): StrategySizes {
  if (isQuick)
    return {
      ...{ targetBytes: null, deviceBytes: deviceBytes ?? 16e6, prompts: 4 },
      ...{ promptTokens: 4, maxNewTokens: 4, profileRuns: 3, mostSimulations: 4 },
    };
  const bytes = deviceBytes ?? 2e9;
  return {
    ...{ targetBytes: targetTimes * bytes, deviceBytes: bytes, prompts: 32 },
    ...{ promptTokens: 512, maxNewTokens: 32, profileRuns: Number.POSITIVE_INFINITY, mostSimulations: 24 },
  };
}

/** What is compared of a run, measured or predicted; shares are of decode. */
export interface Figures {
  readonly tokensPerSecond: number;
  readonly linkBusy: number;
  readonly deviceBusy: number;
  /** Over all of decode. */
  readonly linkBytesPerSecond: number;
}

export interface StrategyRung {
  /** The strategy's, or `pick`: the planner's. */
  readonly name: string;
  readonly strategy: StrategyName;
  /** That was asked for. */
  readonly policy: PolicyInput;
  readonly measured: Figures;
  readonly predicted: Figures;
}

export interface StrategyRequest {
  readonly index: number;
  readonly sizes: StrategySizes;
  /** Record store; null: nothing is kept. */
  readonly keepIn: string | null;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Where records of a card are kept. */
export function resultsOf(card: string): string {
  const name = card.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[.-]+|-+$/g, '');
  return join(defaultResultsDirectory, 'reference', 'gpu', name || 'unnamed');
}

/** @throws Error when strategies write different tokens */
export async function climbStrategies(request: StrategyRequest): Promise<StrategyRung[]> {
  const { sizes, output, signal } = request;
  const shared = await openJob(request);
  output.note(`bench: ${describePlan(shared)}`);
  const machine = await profile(shared, request);
  const own: Omit<Job, 'strategy'> = {
    ...shared,
    workload: { ...shared.workload, prompts: shared.workload.prompts.slice(0, sizes.prompts) },
  };
  const measured: Measured[] = [];
  const measureNext = async (name: string, job: Job) => {
    output.note(`bench: ${name}`);
    measured.push({ name, job, result: await measure(job, request) });
  };
  for (const strategy of ['none', 'serial', 'specoffload', 'flexgen'] as const)
    await measureNext(strategy, { ...own, strategy });
  const acceptance = ratesOf(measured[1].result);
  const { strategy, policy } = await pick(own, machine, acceptance, request);
  await measureNext('pick', { ...own, strategy, policy });
  refuseOtherTokens(measured);
  return Promise.all(
    measured.map(async ({ name, job, result }): Promise<StrategyRung> => {
      const predicted = await simulateRun({ ...toPrediction(job, machine, acceptance), signal });
      const { strategy: chosen, policy: asked } = job;
      return {
        ...{ name, strategy: chosen, policy: asked },
        ...{ measured: figuresOf(result), predicted: figuresOf(predicted) },
      };
    }),
  );
}

interface Measured {
  readonly name: string;
  readonly job: Job;
  readonly result: RunResult;
}

async function openJob({ index, sizes, output, signal }: StrategyRequest): Promise<Omit<Job, 'strategy'>> {
  const { targetBytes, deviceBytes, prompts: numPrompts, promptTokens, maxNewTokens } = sizes;
  const pair = await openPairOf(targetBytes, output, signal);
  const { target, tokenizer } = pair;
  const { name, prompts } = await loadMixedWorkload(Math.ceil(Math.max(16, numPrompts) / 4), {
    ...{ size: target.spec.vocabSize, tokenizer },
  });
  return {
    ...{ ...pair, policy: {}, maxNewTokens, stopAtEos: false },
    workload: { name, prompts: prompts.map((prompt) => prompt.slice(0, promptTokens)) },
    machine: localSettings({
      ...{ device: parseDevice(`vulkan:${index}`), deviceBytes },
      hostBytes: Math.ceil(hostShare * target.bytes),
      hostCores: Math.max(1, Math.min(8, availableParallelism() - 2)),
    }),
  };
}

async function openPairOf(bytes: number | null, output: Output, signal: AbortSignal): Promise<OpenPair> {
  if (bytes === null) return openPair(pairPaths.target, pairPaths.draft);
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes };
  return openPair((await prepareTarget(request, output, signal)).directory, pairPaths.draft);
}

/** As `specoffload profile` does, with the target that is run, of which a part comes from disk. */
async function profile(shared: Omit<Job, 'strategy'>, request: StrategyRequest): Promise<MachineModel> {
  const { sizes, output, signal } = request;
  const { target, draft, machine } = shared;
  const settings = { ...machine, hostBytes: Math.ceil(profiledHostShare * target.bytes) };
  const jobs = profileJobs({ ...shared, machine: settings }).slice(0, sizes.profileRuns);
  const runs = await followed(output, 'profile', (onProgress) =>
    measureRuns({
      ...{ jobs, signal, onProgress },
      onRun: ({ strategy }, at) => output.note(`bench: profile ${at + 1}/${jobs.length}: ${strategy}`),
    }),
  );
  const { blocks, bsize } = await statfs(target.directory as string);
  const file = buildMachineFile(
    {
      ...{ name: 'gpu', description: 'measured by bench --gpu', settings },
      ...{ specs: jobs.map(specOfRun), diskBytes: blocks * bsize },
      draftElements: multipliedElements(draft as Checkpoint),
    },
    runs,
  );
  return parseMachineModel(file, 'the profile');
}

async function measure(job: Job, { keepIn, output, signal }: StrategyRequest): Promise<RunResult> {
  if (keepIn === null)
    return followed(output, job.strategy, (onProgress) => runPlan(job, signal, onProgress));
  const plan = { ...job, experiment: 'ladder', resultsDirectory: keepIn, seed: 0, firstRepeat: 0 };
  return (await executeRun(plan, output, signal)).result;
}

async function followed<Result>(
  output: Output,
  name: string,
  run: (onProgress: (progress: Parameters<typeof describeProgress>[1]) => void) => Promise<Result>,
): Promise<Result> {
  const follower = output.follow();
  return run((progress) => follower.update(() => describeProgress(name, progress))).finally(() =>
    follower.end(),
  );
}

/** Of the very prompts that are predicted: one rate, so that the planner may ask for any number of candidates. */
function ratesOf({ acceptance }: RunResult): AcceptanceRates {
  const counts = acceptance?.byPosition ?? [];
  const accepted = counts.reduce((sum, count) => sum + count.accepted, 0);
  // Tried: the first of each round, and whatever stands behind an accepted one.
  const tried = counts.reduce(
    (sum, { proposed }, at) => sum + Math.min(proposed, at === 0 ? proposed : counts[at - 1].accepted),
    0,
  );
  return { kind: 'rates', name: 'of serial', byPosition: [tried === 0 ? 0 : accepted / tried] };
}

async function pick(
  own: Omit<Job, 'strategy'>,
  machine: MachineModel,
  acceptance: AcceptanceRates,
  { sizes, output, signal }: StrategyRequest,
) {
  output.note('bench: planning');
  const { promptLengths, machine: limited } = toPrediction({ ...own, strategy: 'none' }, machine, acceptance);
  const { ranked } = await planRun({
    ...{ ...own, promptLengths, machine: limited, acceptance, signal },
    ...{ allowed: localPolicyFields, mostSimulations: sizes.mostSimulations, numSeeds: 1 },
  });
  const [{ strategy, policy }] = ranked;
  output.note(`bench: the pick is ${strategy} ${describePolicy(policy)}`);
  return { strategy, policy };
}

function refuseOtherTokens([reference, ...others]: readonly Measured[]): void {
  for (const { name, result } of others) {
    const { numErrors } = compareSequences(reference.result, result);
    if (numErrors > 0) throw new Error(`${name} wrote other tokens than none in ${numErrors} sequences`);
  }
}

function figuresOf({ tokensPerSecond, phases: { decode } }: RunOutcome): Figures {
  const { link, device } = decode.lanes;
  return {
    ...{ tokensPerSecond, linkBusy: link.utilization, deviceBusy: device.utilization },
    linkBytesPerSecond: link.bytes / decode.seconds,
  };
}

export function formatStrategies(rungs: readonly StrategyRung[]): string {
  return formatTable<StrategyRung>(
    [
      {
        title: 'strategy',
        align: 'left',
        text: ({ name, strategy }) => (name === strategy ? name : `${name}: ${strategy}`),
      },
      { title: 'tokens/s', text: ({ measured }) => threeDigits(measured.tokensPerSecond) },
      { title: 'predicted', text: ({ predicted }) => threeDigits(predicted.tokensPerSecond) },
      { title: 'off by', text: (rung) => formatChange(errorOf(rung)) },
      { title: 'link busy', text: ({ measured }) => formatPercent(measured.linkBusy) },
      { title: 'predicted', text: ({ predicted }) => formatPercent(predicted.linkBusy) },
      { title: 'device busy', text: ({ measured }) => formatPercent(measured.deviceBusy) },
      { title: 'predicted', text: ({ predicted }) => formatPercent(predicted.deviceBusy) },
    ],
    rungs,
  );
}
