/** `specoffload accuracy`: how wrong predictions are on this machine, run by run. */

import { type Checkpoint, largest, noCaps } from '@specoffload/engine';
import type { Command } from 'commander';
import { measureAcceptance } from '../../acceptance/measure.js';
import { type Comparison, summarize } from '../../accuracy/compare.js';
import { accuracyGrid, type GridPoint, groupOf } from '../../accuracy/grid.js';
import { comparePoint, type PointComparison } from '../../accuracy/measure.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { describeForeignCaps } from '../../inputs/machine-caps.js';
import { openMachine } from '../../inputs/machines.js';
import { openPair } from '../../inputs/pair.js';
import { loadWorkload } from '../../inputs/prompts.js';
import { parseBytesPerSecond } from '../../inputs/sizes.js';
import { cacheDirectory, displayPath, localMachinePath, pairPaths } from '../../paths.js';
import { formatPercent, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addDeviceOption, type DeviceOptions } from './device-option.js';
import { addSamplingOptions, type SamplingOptions, toSamplingInput } from './sampling-options.js';

interface AccuracyOptions extends CommonOptions, DeviceOptions, SamplingOptions {
  readonly machine: string;
  readonly workload: string;
  readonly diskCap?: string;
  readonly quick?: true;
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
    .option('--quick', 'one situation instead of four');
  addDeviceOption(command);
  addSamplingOptions(command);
  withCommonOptions(command, 'specoffload profile && specoffload accuracy').action(
    (options: AccuracyOptions) => accuracy(options, outputFor(options), context.signal),
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
  const grid = accuracyGrid(options.quick === true);
  const most = largest(grid.map(({ prompts }) => prompts));
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const workload = await loadWorkload(options.workload, most, vocabulary);
  const pair = { target, draft: draft as Checkpoint, workload };

  const asked = toSamplingInput(options);
  const sampling = asked && { ...asked, seed: accuracySeed };
  const { device, arithmetic } = options;
  output.note('accuracy: recording what the draft gets right');
  const acceptance = await measureAcceptance({
    ...{ ...pair, newTokens, sampling, signal, device, arithmetic },
    candidates: largest(grid.map(({ policy }) => policy.candidates ?? 1)),
  });
  const shared = {
    ...{
      ...pair,
      machine,
      acceptance,
      maxNewTokens: newTokens,
      device,
      arithmetic,
      sampling,
      diskBytesPerSecond,
    },
  };
  const comparisons: PointComparison[] = [];
  for (const [index, point] of grid.entries()) {
    output.note(`accuracy ${index + 1}/${grid.length}: ${describePoint(point)}`);
    comparisons.push(await comparePoint(shared, point, output, signal));
  }
  const summary = summarize(comparisons);
  say(comparisons, summary, output);
  output.document({
    machine: options.machine,
    summary,
    acceptance: acceptance.spec,
    runs: comparisons.map(({ point, spec, measured, predicted, error, laneError, conditions }) => ({
      ...{ point, spec, error, laneError, conditions },
      measured: { tokensPerSecond: measured.tokensPerSecond, phases: measured.phases },
      predicted: { tokensPerSecond: predicted.tokensPerSecond, phases: predicted.phases },
    })),
  });
}

function describePoint(point: GridPoint): string {
  const { strategy, policy } = point;
  return `${strategy}${policy.candidates ? ` ${policy.candidates} candidates` : ''}, ${groupOf(point)}`;
}

function say(
  comparisons: readonly Comparison[],
  summary: ReturnType<typeof summarize>,
  output: Output,
): void {
  const speed = ({ tokensPerSecond }: { tokensPerSecond: number }) => threeDigits(tokensPerSecond);
  const lanes = ({ phases }: Comparison['measured']) =>
    (['disk', 'link', 'host', 'device'] as const)
      .map((lane) => Math.round(phases.decode.lanes[lane].utilization * 100))
      .join('/');
  output.say(
    formatTable<Comparison>(
      [
        { title: 'strategy', text: ({ point }) => point.strategy, align: 'left' },
        { title: 'candidates', text: ({ point }) => String(point.policy.candidates ?? '-') },
        { title: 'prompts', text: ({ point }) => String(point.prompts) },
        { title: 'budgets', text: ({ point }) => formatPercent(point.budgetShare) },
        { title: 'measured', text: ({ measured }) => speed(measured) },
        { title: 'predicted', text: ({ predicted }) => speed(predicted) },
        { title: 'error', text: ({ error }) => signedPercent(error) },
        { title: 'stolen', text: ({ conditions }) => tenthPercent(conditions?.stolenShare) },
        { title: 'others', text: ({ conditions }) => tenthPercent(conditions?.othersShare) },
        { title: 'disk/link/host/device %', text: ({ measured }) => lanes(measured) },
        { title: 'predicted', text: ({ predicted }) => lanes(predicted) },
      ],
      comparisons,
    ),
  );
  output.say(
    `\n${summary.runs} runs: throughput off by ${formatPercent(summary.meanError)} on average, ` +
      `${formatPercent(summary.worstError)} at worst; lane utilisation in decode by at most ` +
      `${(summary.worstLaneError * 100).toFixed(0)} points`,
  );
  for (const { group, share } of summary.picks)
    output.say(
      `${group}: the policy with the best prediction reaches ${formatPercent(share)} of the best measured`,
    );
}

function tenthPercent(share: number | undefined): string {
  return share === undefined ? '-' : `${(share * 100).toFixed(1)} %`;
}

function signedPercent(share: number): string {
  return `${share < 0 ? '-' : '+'}${(Math.abs(share) * 100).toFixed(1)} %`;
}
