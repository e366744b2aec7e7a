/** `specoffload accuracy`: how wrong predictions are on this machine, run by run. */

import { type Checkpoint, largest, noCaps, type Pace } from '@specoffload/engine';
import type { Command } from 'commander';
import { recordTexts } from '../../acceptance/measure.js';
import {
  type AccuracySummary,
  atPaceOf,
  type Compared,
  type Comparison,
  meanOfRounds,
  summarize,
} from '../../accuracy/compare.js';
import { accuracyGrid, type GridPoint, groupOf, optionsGrid, policyName } from '../../accuracy/grid.js';
import { comparePoint, measurePace, type PointComparison } from '../../accuracy/measure.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { describeForeignCaps } from '../../inputs/machine-caps.js';
import { openMachine } from '../../inputs/machines.js';
import { preparePackedTarget } from '../../inputs/packed-target.js';
import { openPair } from '../../inputs/pair.js';
import { loadWorkload } from '../../inputs/prompts.js';
import { parseBytesPerSecond } from '../../inputs/sizes.js';
import { cacheDirectory, displayPath, localMachinePath, pairPaths } from '../../paths.js';
import { judgeStored } from '../../sweep/judge-stored.js';
import { UsageError } from '../../terminal/errors.js';
import { formatPercent, plural, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addDeviceOption, type DeviceOptions } from './device-option.js';
import { addSamplingOptions, type SamplingOptions, toSamplingInput } from './sampling-options.js';

interface AccuracyOptions extends CommonOptions, DeviceOptions, SamplingOptions {
  readonly machine: string;
  readonly workload: string;
  readonly diskCap?: string;
  readonly quick?: true;
  readonly options?: true;
  readonly pace?: true;
  readonly rounds: number;
  readonly stored?: string;
  readonly fromTimelines?: true;
}

/** New tokens per sequence: a dozen passes, so that prefill and decode both count. */
const newTokens = 12;
const targetBytes = 2e9;

/** Of what is drawn. */
const accuracySeed = 1;

export function addAccuracyCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('accuracy')
    .description('run and predict a grid of policies on this machine, and print how far apart they are')
    .option('--machine <file>', 'machine file made by specoffload profile', displayPath(localMachinePath))
    .option('--workload <name>', 'shipped workload to run', 'prose')
    .option(
      '--disk-cap <rate>',
      'pace the disk, as profile did, where its own rate changes from minute to minute',
    )
    .option('--quick', 'one situation instead of four')
    .option(
      '--options',
      'besides, in one situation, each of the options that a planner chooses among: 14 policies, about 2 minutes more a round, and once half a minute to pack the target',
    )
    .option(
      '--rounds <n>',
      'how often the whole grid is run; what is measured of a policy is the mean of its rounds, minutes apart',
      wholeNumber('--rounds', 1, 100),
      2,
    )
    .option(
      '--pace',
      'besides, before and after each run, a short one that tells how fast the machine is just then',
    )
    .option(
      '--stored <dir>',
      'judge the measured runs of `sweep prediction` in that store, measuring nothing',
    )
    .option(
      '--from-timelines',
      'with --stored: predict each run from the timelines of others there, not from the machine file',
    );
  addDeviceOption(command);
  addSamplingOptions(command);
  withCommonOptions(command, 'specoffload profile && specoffload accuracy').action(
    (options: AccuracyOptions) => {
      const output = outputFor(options);
      if (options.stored !== undefined) return judge(options, options.stored, output, context.signal);
      if (options.fromTimelines)
        throw new UsageError(
          '--from-timelines takes the timelines of stored runs; name their store by --stored',
        );
      return accuracy(options, output, context.signal);
    },
  );
}

async function accuracy(options: AccuracyOptions, output: Output, signal: AbortSignal): Promise<void> {
  const machine = await openMachine(options.machine);
  const diskBytesPerSecond =
    options.diskCap === undefined ? null : parseBytesPerSecond('--disk-cap', options.diskCap);
  const foreignCaps = describeForeignCaps(machine, { ...noCaps, diskBytesPerSecond });
  if (foreignCaps !== null) output.note(`accuracy: ${foreignCaps}`);
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: targetBytes };
  const { directory } = await prepareTarget(request, output, signal);
  const { target, draft, tokenizer } = await openPair(directory, pairPaths.draft);
  const grid = [...accuracyGrid(options.quick === true), ...(options.options ? optionsGrid() : [])];
  const most = largest(grid.map(({ prompts }) => prompts));
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const workload = await loadWorkload(options.workload, most, vocabulary);
  const pair = { target, draft: draft as Checkpoint, workload };

  const asked = toSamplingInput(options);
  const sampling = asked && { ...asked, seed: accuracySeed };
  const { device, arithmetic } = options;
  output.note('accuracy: recording what the draft gets right, and which experts the routers choose');
  const { acceptance, routing } = await recordTexts({
    ...{ ...pair, newTokens, sampling, signal, device, arithmetic },
    secondChoices: grid.some(({ policy }) => (policy.alternates ?? 0) > 0),
    candidates: largest(grid.map(({ policy }) => policy.candidates ?? 1)),
  });
  const packed = grid.some(({ isPacked }) => isPacked)
    ? await preparePackedTarget(target, output, signal)
    : undefined;
  const shared = {
    ...(packed && { packed }),
    ...{
      ...pair,
      machine,
      acceptance,
      routing,
      maxNewTokens: newTokens,
      device,
      arithmetic,
      sampling,
      diskBytesPerSecond,
    },
  };
  const { rounds } = options;
  const runs = Array.from({ length: rounds }, () => [...grid.entries()]).flat();
  const roundsOf = grid.map((): PointComparison[] => []);
  let pace = options.pace ? await measurePace(shared, output, signal) : null;
  for (const [number, [index, point]] of runs.entries()) {
    output.note(`accuracy ${number + 1}/${runs.length}: ${describePoint(point)}`);
    const own = roundsOf[index];
    const known = own[0]?.predicted;
    const { paceAfter, ...comparison } = await comparePoint(shared, point, output, signal, pace, known);
    own.push(comparison);
    pace = paceAfter;
  }
  const comparisons = roundsOf.map((own) => ({
    ...meanOfRounds(own),
    spec: own[0].spec,
    ...(rounds > 1 && {
      rounds: own.map(({ measured, conditions }) => ({ ...short(measured), conditions })),
    }),
  }));
  report(comparisons, output, { machine: options.machine, acceptance: acceptance.spec });
}

/** Of the JSON document. */
function short({ tokensPerSecond, phases }: Compared) {
  return { tokensPerSecond, phases };
}

async function judge(
  { machine, fromTimelines }: AccuracyOptions,
  stored: string,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const comparisons = await judgeStored({
    ...{ results: stored, output, signal },
    machine: fromTimelines ? 'timelines' : await openMachine(machine),
  });
  report(comparisons, output, { machine: fromTimelines ? 'timelines' : machine, stored });
}

function report(
  comparisons: readonly (Comparison & Pick<PointComparison, 'spec'>)[],
  output: Output,
  about: object,
): void {
  const [paced, own] = [atPaceOf(comparisons, 'atItsPace'), atPaceOf(comparisons, 'atOwnPace')];
  const [summary, summaryAtPace, summaryAtOwnPace] = [comparisons, paced, own].map(summarize);
  output.say(tableOf(comparisons, paced));
  output.say(`\n${describeSummary(summary, comparisons.length)}`);
  if (paced.length > 0)
    output.say(`at the pace that the machine had: ${describeSummary(summaryAtPace, paced.length)}`);
  output.say(
    `with each lane as fast as it was in the run itself, which nobody knows before: ${describeSummary(summaryAtOwnPace, own.length)}`,
  );
  for (const { group, share } of summary?.picks ?? [])
    output.say(
      `${group}: the policy with the best prediction reaches ${formatPercent(share)} of the best measured`,
    );
  output.document({
    ...about,
    ...{ summary, ...(paced.length > 0 && { summaryAtPace }), summaryAtOwnPace },
    runs: comparisons.map(({ measured, predicted, atItsPace, atOwnPace, ...run }) => ({
      ...run,
      ...{ measured: short(measured), predicted: short(predicted) },
      atOwnPace: { ...atOwnPace, predicted: short(atOwnPace.predicted) },
      ...(atItsPace && { atItsPace: { ...atItsPace, predicted: short(atItsPace.predicted) } }),
    })),
  });
}

function describeSummary(summary: AccuracySummary | null, numRuns: number): string {
  if (!summary)
    return `${plural(numRuns, 'run')}, and something else disturbed each: none is judged; measure again when the machine is left alone`;
  const { runs, disturbedRuns, meanError, worstError, meanLaneError, worstLaneError, worst } = summary;
  const points = (share: number) => (share * 100).toFixed(0);
  return (
    `${plural(runs, 'run')}: throughput off by ${formatPercent(meanError)} on average, ` +
    `${formatPercent(worstError)} at worst (${describePoint(worst.point)}); lane utilisation in decode by ` +
    `${points(meanLaneError)} points on average of each run's worst lane, by ${points(worstLaneError)} at most (${worst.lane} of ${describePoint(worst.lanePoint)})` +
    (disturbedRuns > 0 ? `; ${disturbedRuns} more were disturbed and are not judged` : '')
  );
}

function describePoint(point: GridPoint): string {
  return `${policyName(point)}, ${groupOf(point)}`;
}

function tableOf(comparisons: readonly Comparison[], paced: readonly Comparison[]): string {
  const speed = ({ tokensPerSecond }: Compared) => threeDigits(tokensPerSecond);
  const lanes = ({ phases }: Compared) =>
    (['disk', 'link', 'host', 'device'] as const)
      .map((lane) => Math.round(phases.decode.lanes[lane].utilization * 100))
      .join('/');
  return formatTable<Comparison>(
    [
      {
        title: 'strategy',
        text: ({ point }) => (point.option ? policyName(point) : point.strategy),
        align: 'left',
      },
      { title: 'candidates', text: ({ point }) => String(point.policy.candidates ?? '-') },
      { title: 'prompts', text: ({ point }) => String(point.prompts) },
      { title: 'budgets', text: ({ point }) => formatPercent(point.budgetShare) },
      { title: 'measured', text: ({ measured }) => speed(measured) },
      { title: 'predicted', text: ({ predicted }) => speed(predicted) },
      { title: 'error', text: ({ error }) => signedPercent(error) },
      ...(paced.length > 0
        ? [
            {
              title: 'at its pace',
              text: ({ atItsPace }: Comparison) => (atItsPace ? signedPercent(atItsPace.error) : '-'),
            },
            {
              title: 'pace',
              text: ({ atItsPace }: Comparison) => (atItsPace ? speedOf(atItsPace.pace) : '-'),
            },
          ]
        : []),
      { title: 'stolen', text: ({ conditions }) => tenthPercent(conditions?.stolenShare) },
      { title: 'others', text: ({ conditions }) => tenthPercent(conditions?.othersShare) },
      { title: 'judged', text: ({ conditions }) => (conditions?.isDisturbed ? 'no' : 'yes') },
      { title: 'disk/link/host/device %', text: ({ measured }) => lanes(measured) },
      { title: 'predicted', text: ({ predicted }) => lanes(predicted) },
      ...(paced.length > 0
        ? [
            {
              title: 'at its pace',
              text: ({ atItsPace }: Comparison) => (atItsPace ? lanes(atItsPace.predicted) : '-'),
            },
          ]
        : []),
    ],
    comparisons,
  );
}

/** How fast the machine was beside what the rates say: all lanes have one pace. */
function speedOf({ decode }: Pace): string {
  return (1 / decode.disk).toFixed(2);
}

function tenthPercent(share: number | undefined): string {
  return share === undefined ? '-' : `${(share * 100).toFixed(1)} %`;
}

function signedPercent(share: number): string {
  return `${share < 0 ? '-' : '+'}${(Math.abs(share) * 100).toFixed(1)} %`;
}
