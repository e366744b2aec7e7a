/** Strategies on a GPU, on a target several times its budget, each beside what a profile of the same GPU predicts. */

import { statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  type AcceptanceRates,
  type Checkpoint,
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
import { cacheDirectory, defaultResultsDirectory } from '../../paths.js';
import { describePolicy } from '../../plan/describe.js';
import { buildMachineFile } from '../../profile/machine-file.js';
import { measureRuns, profileJobs } from '../../profile/measure.js';
import { specOfRun } from '../../store/index.js';
import { formatChange, formatPercent, threeDigits } from '../../terminal/format.js';
import { describeProgress, type Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import { flexgenScript, type StrategySizes } from './sizes.js';
import type { TimeBudget } from './time-budget.js';
import { errorOf } from './verdicts.js';

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
  /** Null where there was no time for a profile. */
  readonly predicted: Figures | null;
}

export interface StrategyRequest {
  readonly index: number;
  readonly sizes: StrategySizes;
  readonly budget: TimeBudget;
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

/** What does not end in time is left out, the least important last. @throws Error when strategies write different tokens */
export async function climbStrategies(request: StrategyRequest): Promise<StrategyRung[]> {
  const { sizes, budget, output, signal } = request;
  const shared = await budget.within('models of these sizes', signal, (ending) =>
    openJob({ ...request, signal: ending }),
  );
  if (!shared) return [];
  output.note(`bench: ${describePlan(shared)}`);
  const machine = await budget.within('a profile', signal, (ending) =>
    profile(shared, { ...request, signal: ending }),
  );
  const own: Omit<Job, 'strategy'> = {
    ...shared,
    workload: { ...shared.workload, prompts: shared.workload.prompts.slice(0, sizes.prompts) },
  };
  const measured = await measureAll(own, machine, request);
  refuseOtherTokens(measured);
  if (!machine) return measured.map((run) => toRung(run, null));
  const acceptance = ratesOf(measured);
  return Promise.all(
    measured.map(async (run) =>
      toRung(run, await simulateRun({ ...toPrediction(run.job, machine, acceptance), signal })),
    ),
  );
}

interface Measured {
  readonly name: string;
  readonly job: Job;
  readonly result: RunResult;
}

async function measureAll(
  own: Omit<Job, 'strategy'>,
  machine: MachineModel | null,
  request: StrategyRequest,
): Promise<Measured[]> {
  const { sizes, budget, output, signal } = request;
  const measured: Measured[] = [];
  let longestSeconds = 0;
  const next = async (name: string, strategy: StrategyName, policy: PolicyInput) => {
    if (!budget.allows(name, longestSeconds)) return;
    output.note(`bench: ${name}`);
    const before = budget.leftSeconds;
    const job = { ...own, strategy, policy };
    const result = await budget.within(name, signal, (ending) =>
      measure(job, { ...request, signal: ending }),
    );
    longestSeconds = Math.max(longestSeconds, before - budget.leftSeconds);
    if (result) measured.push({ name, job, result });
  };
  const numPrompts = own.workload.prompts.length;
  await next('none', 'none', {});
  await next('specoffload', 'specoffload', sizes.specoffload);
  await next('flexgen', 'flexgen', flexgenScript(numPrompts));
  const picked =
    machine &&
    (await budget.within('the pick', signal, (ending) =>
      pick(own, machine, ratesOf(measured), { ...request, signal: ending }),
    ));
  if (picked) await next('pick', picked.strategy, picked.policy);
  const { decodeBatch: _, ...speculating } = sizes.specoffload;
  await next('serial', 'serial', speculating);
  await next('flexgen, same batch', 'flexgen', {});
  await next('none, in place', 'none', { keptExperts: 'in-place', keptAttention: 'in-place' });
  return measured;
}

function toRung({ name, job, result }: Measured, predicted: RunOutcome | null): StrategyRung {
  const { link, device } = result.phases.decode.lanes;
  const { copy = null, compute = null } = result.deviceUse ?? {};
  return {
    ...{ name, strategy: job.strategy, policy: job.policy },
    measured: {
      ...figuresOf(result),
      // By the card's own clock, where it has one.
      linkBusy: copy?.decode.utilization ?? link.utilization,
      deviceBusy: compute?.decode.utilization ?? device.utilization,
    },
    predicted: predicted && figuresOf(predicted),
  };
}

async function openJob({ index, sizes, output, signal }: StrategyRequest): Promise<Omit<Job, 'strategy'>> {
  const { hostShare, deviceBytes, prompts: numPrompts, promptTokens, maxNewTokens } = sizes;
  const pair = await openPairOf(sizes, output, signal);
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

async function openPairOf(
  { pair, targetBytes, draftBytes }: StrategySizes,
  output: Output,
  signal: AbortSignal,
): Promise<OpenPair> {
  const inflated = async (sourceDirectory: string, bytes: number | null) =>
    bytes === null
      ? sourceDirectory
      : ((await prepareTarget({ sourceDirectory, cacheDirectory, bytes }, output, signal))
          .directory as string);
  return openPair(await inflated(pair.target, targetBytes), await inflated(pair.draft, draftBytes));
}

/** So that it sees the disk, too. */
const profiledHostShare = 0.5;

/** As `specoffload profile` does, with the target that is run, of which a part comes from disk. */
async function profile(shared: Omit<Job, 'strategy'>, request: StrategyRequest): Promise<MachineModel> {
  const { sizes, output, signal } = request;
  const { target, draft, machine } = shared;
  const settings = { ...machine, hostBytes: Math.ceil(profiledHostShare * target.bytes) };
  const jobs = profileJobs({ ...shared, machine: settings }).filter(
    (_, at) => sizes.profileRuns?.includes(at) ?? true,
  );
  const runs = await followed(output, 'profile', (onProgress) =>
    measureRuns({
      ...{ jobs, signal, onProgress },
      onRun: ({ strategy }, at) => output.note(`bench: profile ${at + 1}/${jobs.length}: ${strategy}`),
      onAgain: (reason) => output.note(`bench: ${reason}; measuring again`),
    }),
  );
  const { blocks, bsize } = await statfs(target.directory as string);
  const file = buildMachineFile(
    {
      ...{ name: 'gpu', description: 'measured by bench --gpu', settings },
      ...{ specs: jobs.map(specOfRun), diskBytes: blocks * bsize },
      draftElements: multipliedElements(draft as Checkpoint),
    },
    runs.map(({ measured }) => measured),
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
function ratesOf(measured: readonly Measured[]): AcceptanceRates {
  const speculating = measured.find(({ result }) => result.acceptance !== null);
  const counts = speculating?.result.acceptance?.byPosition ?? [];
  const accepted = counts.reduce((sum, count) => sum + count.accepted, 0);
  // Tried: the first of each round, and whatever stands behind an accepted one.
  const tried = counts.reduce(
    (sum, { proposed }, at) => sum + Math.min(proposed, at === 0 ? proposed : counts[at - 1].accepted),
    0,
  );
  const name = `of ${speculating?.name ?? 'nothing'}`;
  return { kind: 'rates', name, byPosition: [tried === 0 ? 0 : accepted / tried] };
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
    ...{ mostSimulations: sizes.mostSimulations, numSeeds: 1 },
  });
  const [{ strategy, policy }] = ranked;
  output.note(`bench: the pick is ${strategy} ${describePolicy(policy)}`);
  return { strategy, policy };
}

function refuseOtherTokens([reference, ...others]: readonly Measured[]): void {
  if (!reference) return;
  for (const { name, result } of others) {
    const { numErrors } = compareSequences(reference.result, result);
    if (numErrors > 0)
      throw new Error(`${name} wrote other tokens than ${reference.name} in ${numErrors} sequences`);
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
      {
        title: 'predicted',
        text: ({ predicted }) => (predicted ? threeDigits(predicted.tokensPerSecond) : '-'),
      },
      { title: 'off by', text: (rung) => (rung.predicted ? formatChange(errorOf(rung)) : '-') },
      { title: 'link busy', text: ({ measured }) => formatPercent(measured.linkBusy) },
      { title: 'predicted', text: ({ predicted }) => (predicted ? formatPercent(predicted.linkBusy) : '-') },
      { title: 'device busy', text: ({ measured }) => formatPercent(measured.deviceBusy) },
      {
        title: 'predicted',
        text: ({ predicted }) => (predicted ? formatPercent(predicted.deviceBusy) : '-'),
      },
    ],
    rungs,
  );
}
