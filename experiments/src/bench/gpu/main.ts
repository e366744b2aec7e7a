/** The ladder for a GPU: what its kernels reach of what the card has. */

import { parseQuantity, UserError } from '@specoffload/input';
import { startsFinite } from '@specoffload/native';
import { readParts } from '../../inputs/machine-parts.js';
import { formatFlops, formatPercent, formatRate } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type Column, formatTable } from '../../terminal/table.js';
import { KernelClock } from './kernel-clock.js';
import { describeLink, type LinkRates, measureLink } from './link-rates.js';
import { climbLadder, fullLadder, ladderBytes, quickLadder, type Rung } from './matmul-ladder.js';
import {
  climbStrategies,
  formatStrategies,
  resultsOf,
  type StrategyRung,
  strategySizes,
} from './strategies.js';
import { verdicts } from './verdicts.js';

export interface GpuBenchOptions {
  /** Of several GPUs. */
  readonly index: number;
  readonly quick: boolean;
  /** Whether strategies are run too. @default true */
  readonly strategies?: boolean;
  /** Budget of the strategies; their target is several times as large. @default 2 GB */
  readonly deviceBytes?: number | undefined;
  /** Records go to results/reference/gpu. @default false */
  readonly keep?: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** What the card's data sheet says; null where no sheet in experiments/machines/parts has its name. */
export interface Peaks {
  readonly flopsPerSecond: number | null;
  readonly memoryBytesPerSecond: number | null;
}

export interface GpuBench {
  readonly device: string;
  readonly driver: string;
  /** Not a driver for the processor. */
  readonly isCard: boolean;
  readonly isQuick: boolean;
  readonly sheet: Peaks;
  /** Within the card's memory, bytes read and bytes written together. */
  readonly copyBytesPerSecond: number;
  /** From the start of one kernel that does next to nothing to the start of the next, which waits for it. */
  readonly gapSeconds: number;
  readonly link: LinkRates;
  readonly rungs: readonly Rung[];
  /** None where they were left out. */
  readonly strategies: readonly StrategyRung[];
}

/** Of products added up in fp32 in whatever order, of inputs as they are or narrowed to 16 bits. */
const errorBounds = { f32: 1e-6, f16: 2 ** -11, bf16: 2 ** -8 };

/** @throws Error when a number is wrong, after all have been said; UserError when there is no card whose records to keep */
export async function runGpuBench(options: GpuBenchOptions): Promise<GpuBench> {
  const { index, output, signal } = options;
  const isProcessor = KernelClock.isProcessor(index);
  if (isProcessor && !options.quick) output.note('bench: the device is a processor: the small version');
  const quick = options.quick || isProcessor;
  const kernels = await measureKernels({ ...options, quick });
  sayLadder(kernels, output);
  const { deviceBytes = null, keep = false, strategies = true } = options;
  const keepIn = keep ? resultsOf(kernels.device) : null;
  const sizes = strategySizes(quick, deviceBytes);
  const request = { index, sizes, keepIn, output, signal };
  const bench = { ...kernels, strategies: strategies ? await climbStrategies(request) : [] };
  if (strategies) output.say(formatStrategies(bench.strategies));
  for (const line of verdicts(bench)) output.say(line);
  output.document(bench);
  return bench;
}

type KernelBench = Omit<GpuBench, 'strategies'>;

/** The GPU's memory is given back before anything else runs on it. */
async function measureKernels({ index, quick, keep, output, signal }: GpuBenchOptions): Promise<KernelBench> {
  const sizes = quick ? quickLadder : fullLadder;
  const clock = await KernelClock.open(index, ladderBytes(sizes));
  try {
    const { name: device, driver, type } = clock.facts;
    const isCard = type !== 'processor';
    if (keep && (!isCard || quick))
      throw new UserError(
        `${isCard ? 'the small form' : device} says nothing about a card, so its records are not kept; leave out --keep`,
      );
    const sheet = await findPeaks(device);
    output.say(`${device}, ${driver}`);
    const copyBytesPerSecond = await measureCopies(clock, sizes.weightBytes / 2);
    const gapSeconds = await measureGap(clock);
    output.note('bench: the link');
    const link = await measureLink(index, quick ? 2 ** 21 : 2 ** 29, quick ? 256 : 4096);
    const rungs = await climbLadder(clock, sizes, ({ format, rows, depth, width }) => {
      signal.throwIfAborted();
      output.note(`bench: ${rows} rows of ${depth} x ${width} in ${format}`);
    });
    const kind = { device, driver, isCard, isQuick: quick };
    return { ...kind, sheet, copyBytesPerSecond, gapSeconds, link, rungs };
  } finally {
    await clock.close();
  }
}

async function findPeaks(device: string): Promise<Peaks> {
  const { gpu } = await readParts();
  // The longest name that fits: `GeForce RTX 4090 Laptop` before `GeForce RTX 4090`.
  const [part] = Object.values(gpu)
    .filter(({ name }) => device.includes(name))
    .sort((a, b) => b.name.length - a.name.length);
  return {
    flopsPerSecond: part?.flops ? parseQuantity(part.flops.value, 'FLOP/s') : null,
    memoryBytesPerSecond: part?.memory ? parseQuantity(part.memory.value, 'B/s') : null,
  };
}

async function measureCopies(clock: KernelClock, byteLength: number): Promise<number> {
  clock.clear();
  const [from, to] = [clock.room(byteLength), clock.room(byteLength)];
  await clock.copySeconds(from, to, byteLength, 1);
  return (2 * byteLength) / (await clock.copySeconds(from, to, byteLength, 8));
}

async function measureGap(clock: KernelClock): Promise<number> {
  clock.clear();
  const [source, target] = [clock.room(4), clock.room(4)];
  const nothing = [startsFinite({ source, target, rows: 1, width: 1 })];
  await clock.secondsEach(nothing, 1);
  return clock.secondsEach(nothing, 200);
}

function sayLadder(bench: KernelBench, output: Output): void {
  const { sheet, copyBytesPerSecond, gapSeconds, link, rungs } = bench;
  const share = (rate: number, peak: number | null) => (peak === null ? '-' : formatPercent(rate / peak));
  const columns: Column<Rung>[] = [
    { title: 'weights', align: 'left', text: ({ depth, width, format }) => `${depth} x ${width} ${format}` },
    { title: 'rows', text: ({ rows }) => String(rows) },
    { title: 'kernel', align: 'left', text: ({ kernel }) => kernel },
    { title: 'time', text: ({ seconds }) => `${(seconds * 1e6).toFixed(1)} µs` },
    { title: 'weights read', text: ({ weightBytesPerSecond }) => formatRate(weightBytesPerSecond) },
    {
      title: 'of copy',
      text: ({ weightBytesPerSecond }) => share(weightBytesPerSecond, copyBytesPerSecond),
    },
    {
      title: 'of memory',
      text: ({ weightBytesPerSecond }) => share(weightBytesPerSecond, sheet.memoryBytesPerSecond),
    },
    { title: 'arithmetic', text: ({ flopsPerSecond }) => formatFlops(flopsPerSecond) },
    { title: 'of peak', text: ({ flopsPerSecond }) => share(flopsPerSecond, sheet.flopsPerSecond) },
    { title: 'error', text: ({ largestError }) => largestError.toExponential(1) },
  ];
  output.say(
    `copy within its memory ${formatRate(copyBytesPerSecond)} (read and written), ` +
      `${(gapSeconds * 1e6).toFixed(1)} µs from kernel to kernel`,
  );
  for (const line of describeLink(link)) output.say(line);
  output.say(formatTable(columns, rungs));
  const wrong = rungs.filter(({ largestError, arithmetic }) => !(largestError <= errorBounds[arithmetic]));
  if (wrong.length > 0)
    throw new Error(
      `${wrong.length} of ${rungs.length} products are wrong, the first with ${wrong[0].rows} rows`,
    );
  output.say(`all ${rungs.length} products are right`);
}
