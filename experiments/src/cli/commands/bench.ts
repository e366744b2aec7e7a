/** `specoffload bench`: how close the engine comes to the limits of this machine. */

import type { Command } from 'commander';
import type { BenchOptions } from '../../bench/main.js';
import { parseBytes } from '../../inputs/sizes.js';
import { UsageError } from '../../terminal/errors.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
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
}

type Part = (options: BenchOptions) => Promise<void>;

const parts: Readonly<Record<string, () => Promise<Part>>> = {
  peers: async () => (await import('../../bench/peers/main.js')).benchPeers,
  q4k: async () => (await import('../../bench/q4k.js')).benchQ4K,
  products: async () => (await import('../../bench/products.js')).benchProducts,
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
    .option('--keep', 'with --gpu: keep records of the strategies in results/reference/gpu/');
  withCommonOptions(
    command,
    'specoffload bench products',
    'specoffload bench --acceptance',
    'specoffload bench --gpu --quick',
  ).action(runBench);

  async function runBench(part: string | undefined, options: BenchCommandOptions): Promise<void> {
    const common = { quick: options.quick === true, output: outputFor(options), signal: context.signal };
    refuseTwo(part, options);
    refuseWithoutGpu(options);
    if (part !== undefined) await (await findPart(part))(common);
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
  const flag = deviceMemory !== undefined ? '--device-memory' : keep ? '--keep' : null;
  if (gpu === undefined && flag !== null)
    throw new UsageError(`${flag} is of the bench of a GPU; add --gpu, or leave ${flag} out`);
}

function toGpuOptions({ gpu, deviceMemory, keep }: BenchCommandOptions) {
  return {
    index: typeof gpu === 'number' ? gpu : 0,
    deviceBytes: deviceMemory === undefined ? undefined : parseBytes('--device-memory', deviceMemory),
    keep: keep === true,
  };
}
