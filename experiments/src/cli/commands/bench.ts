/** `specoffload bench`: how close the engine comes to the limits of this machine. */

import type { Command } from 'commander';
import { type LegName, legNames } from '../../bench/peers/leg-names.js';
import type { PeersOptions } from '../../bench/peers/main.js';
import { parseBytes } from '../../inputs/sizes.js';
import { UsageError } from '../../terminal/errors.js';
import {
  type CommandContext,
  type CommonOptions,
  oneOf,
  outputFor,
  toFlag,
  wholeNumber,
  withCommonOptions,
} from './common.js';

interface BenchCommandOptions extends CommonOptions {
  readonly quick?: true;
  /** true: the first. */
  readonly gpu?: number | true;
  readonly acceptance?: true;
  readonly deviceMemory?: string;
  readonly keep?: true;
  readonly legs?: readonly LegName[];
  readonly rounds?: number;
  readonly legSeconds?: number;
}

type Part = (options: PeersOptions) => Promise<void>;

const parts: Readonly<Record<string, () => Promise<Part>>> = {
  peers: async () => (await import('../../bench/peers/main.js')).benchPeers,
  picks: async () => (await import('../../bench/picks/main.js')).benchPicks,
  q4k: async () => (await import('../../bench/q4k.js')).benchQ4K,
  search: async () => (await import('../../bench/search.js')).benchSearch,
  queue: async () => (await import('../../bench/queue.js')).benchQueue,
  'fine-grained': async () => (await import('../../bench/fine-grained.js')).benchFineGrained,
  products: async () => (await import('../../bench/products.js')).benchProducts,
  tasks: async () => (await import('../../bench/tasks.js')).benchTasks,
};

function findPart(name: string): Promise<Part> {
  if (Object.hasOwn(parts, name)) return parts[name]();
  throw new UsageError(`invalid part of the bench: ${name}; expected ${Object.keys(parts).join(', ')}`);
}

export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .description('measure the engine against the limits of this machine')
    .argument('[part]', `one part alone: ${Object.keys(parts).join(', ')}`)
    .option('--quick', 'the small version')
    .option('--acceptance', 'how often each drafter is right on the shipped workloads instead')
    .option(
      '--gpu [number]',
      "a GPU's kernels instead, against its limits; of several that with this number",
      wholeNumber('--gpu', 0, 99),
    )
    .option(
      '--device-memory <size>',
      "with --gpu: the strategies' budget on it, of which their target is about four times (default: 24GB as in the paper, or what card, memory, disk and eight minutes allow)",
    )
    .option('--keep', 'with --gpu: keep records of the strategies in results/reference/gpu/')
    .option(
      '--legs <names>',
      `with peers: only these of ${legNames.join(', ')}, with commas between (default: all)`,
      parseLegs,
    )
    .option(
      '--rounds <n>',
      'with peers and picks: how often by turns (default: 3; 1 with --quick)',
      wholeNumber('--rounds', 1, 100),
    )
    .option(
      '--leg-seconds <n>',
      'with peers: stop a program that loads or writes for longer (default: 300)',
      wholeNumber('--leg-seconds', 1, 86_400),
    );
  withCommonOptions(
    command,
    'specoffload bench products',
    'specoffload bench peers --legs llama.cpp --rounds 1',
    'specoffload bench picks --rounds 5',
    'specoffload bench --acceptance',
    'specoffload bench --gpu --quick',
  ).action(runBench);

  async function runBench(part: string | undefined, options: BenchCommandOptions): Promise<void> {
    const { legs, rounds, legSeconds } = options;
    const common = { quick: options.quick === true, output: outputFor(options), signal: context.signal };
    refuseTwo(part, options);
    refuseWithoutGpu(options);
    if (part !== 'peers')
      refuseFlags({ legs, legSeconds }, 'of the comparison with other programs', 'bench peers');
    if (part !== 'peers' && part !== 'picks')
      refuseFlags({ rounds }, 'of what is measured by turns', 'bench peers or bench picks');
    if (part !== undefined) await (await findPart(part))({ ...common, legs, rounds, legSeconds });
    else if (options.gpu !== undefined) {
      const { runGpuBench } = await import('../../bench/gpu/main.js');
      await runGpuBench({ ...common, ...toGpuOptions(options) });
    } else if (options.acceptance) {
      const { benchAcceptance } = await import('../../bench/acceptance.js');
      await benchAcceptance(common);
    } else {
      const { runBenchmarks } = await import('../../bench/main.js');
      await runBenchmarks(common);
    }
  }
}

/** Each measures something else. */
function refuseTwo(part: string | undefined, { gpu, acceptance }: BenchCommandOptions): void {
  const asked = [part, gpu !== undefined && '--gpu', acceptance && '--acceptance'].filter(Boolean);
  if (asked.length > 1)
    throw new UsageError(`${asked.join(' and ')} are benches of their own; ask for one at a time`);
}

function refuseWithoutGpu({ gpu, deviceMemory, keep }: BenchCommandOptions): void {
  if (gpu === undefined) refuseFlags({ deviceMemory, keep }, 'of the bench of a GPU', '--gpu');
}

/** @param remedy what the flags go with */
function refuseFlags(flags: object, whose: string, remedy: string): void {
  const given = Object.entries(flags).find(([, value]) => value !== undefined);
  if (!given) return;
  const flag = `--${toFlag(given[0])}`;
  throw new UsageError(`${flag} is ${whose}; add ${remedy}, or leave ${flag} out`);
}

function parseLegs(text: string): LegName[] {
  return text.split(',').map(oneOf('--legs', legNames));
}

function toGpuOptions({ gpu, deviceMemory, keep }: BenchCommandOptions) {
  return {
    index: typeof gpu === 'number' ? gpu : 0,
    deviceBytes: deviceMemory === undefined ? undefined : parseBytes('--device-memory', deviceMemory),
    keep: keep === true,
  };
}
