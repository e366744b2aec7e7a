/** The ladder for a GPU: what its kernels reach of what the card has. */

import { parseQuantity, UserError } from '@specoffload/input';
import { gather, startsFinite } from '@specoffload/native';
import { readParts } from '../../inputs/machine-parts.js';
import { formatFlops, formatPercent, formatRate } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type Column, formatTable } from '../../terminal/table.js';
import { KernelClock } from './kernel-clock.js';
import { describeLink, type LinkRates, measureLink } from './link-rates.js';
import { climbLadder, fullLadder, ladderBytes, quickLadder, type Rung } from './matmul-ladder.js';
import { measureRoom } from './room.js';
import { compareWithProcessor, type SameTokens } from './same-tokens.js';
import { paperSizes, type StrategySizes, smallSizes } from './sizes.js';
import { climbStrategies, formatStrategies, resultsOf, type StrategyRung } from './strategies.js';
import { TimeBudget } from './time-budget.js';
import { errorBounds, verdicts } from './verdicts.js';

export interface GpuBenchOptions {
  /** Of several GPUs. */
  readonly index: number;
  readonly quick: boolean;
  /** Whether strategies are run too. @default true */
  readonly strategies?: boolean;
  /** Whether the main job is compared with the processor's. @default true */
  readonly mainJob?: boolean;
  /** Budget of the strategies; their target is several times as large. @default the paper's, or what there is room for */
  readonly deviceBytes?: number | undefined;
  /** What they are run with. @default the paper's ratios, or the small form */
  readonly sizes?: StrategySizes;
  /** Records go to results/reference/gpu. @default false */
  readonly keep?: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** What the card's data sheet says; null where no sheet in experiments/machines/parts has its name. */
export interface Peaks {
  readonly flopsPerSecond: number | null;
  readonly memoryBytesPerSecond: number | null;
  /** Which sheet. */
  readonly source: string | null;
}

export interface GpuBench {
  readonly device: string;
  readonly driver: string;
  /** Not a driver for the processor. */
  readonly isCard: boolean;
  readonly isQuick: boolean;
  /** Of its memory, before anything of the bench lay there. */
  readonly freeDeviceBytes: number;
  readonly sheet: Peaks;
  /** Within the card's memory, bytes read and bytes written together. */
  readonly copyBytesPerSecond: number;
  /** From the start of one kernel that does next to nothing to the start of the next, which waits for it. */
  readonly gapSeconds: number;
  /** The same between kernels of different kinds, between which a timestamp is written. */
  readonly timedGapSeconds: number;
  readonly link: LinkRates;
  readonly rungs: readonly Rung[];
  /** None where it was left out. */
  readonly sameTokens: SameTokens | null;
  /** The strategies' budget, and why it is not another; null where they were left out. */
  readonly budget: string | null;
  /** None where they were left out. */
  readonly strategies: readonly StrategyRung[];
  /** What there was no time for. */
  readonly skipped: readonly string[];
}

/** @throws Error when a number is wrong, after all have been said; UserError when there is no card whose records to keep */
export async function runGpuBench(options: GpuBenchOptions): Promise<GpuBench> {
  const { index, output, signal } = options;
  const isProcessor = KernelClock.isProcessor(index);
  if (isProcessor && !options.quick) output.note('bench: the device is a processor: the small version');
  const quick = options.quick || isProcessor;
  const budget = new TimeBudget(mostSeconds);
  const kernels = await measureKernels({ ...options, quick });
  sayLadder(kernels, output);
  const { mainJob = true, keep = false, strategies = true } = options;
  const sameTokens = mainJob ? await compareWithProcessor(index, output, signal) : null;
  const keepIn = keep ? resultsOf(kernels.device) : null;
  const chosen = strategies ? await chooseSizes(kernels, { ...options, quick }, budget) : null;
  if (chosen?.because) output.say(`device memory ${chosen.because}`);
  const rungs = chosen
    ? await climbStrategies({ index, sizes: chosen.sizes, budget, keepIn, output, signal })
    : [];
  if (rungs.length > 0) output.say(formatStrategies(rungs));
  const bench: GpuBench = {
    ...{ ...kernels, sameTokens, budget: chosen?.because ?? null, strategies: rungs },
    skipped: budget.skipped,
  };
  for (const line of verdicts(bench)) output.say(line);
  output.document(bench);
  if (sameTokens && sameTokens.numErrors > 0)
    throw new Error(`the GPU wrote other tokens than the processor in ${sameTokens.numErrors} sequences`);
  return bench;
}

/** All of it, whatever the card. */
const mostSeconds = 480;

async function chooseSizes(
  { link, freeDeviceBytes }: KernelBench,
  { quick, deviceBytes, sizes, signal }: GpuBenchOptions,
  budget: TimeBudget,
): Promise<{ readonly sizes: StrategySizes; readonly because: string }> {
  if (sizes) return { sizes, because: '' };
  if (quick) return { sizes: { ...smallSizes, deviceBytes: deviceBytes ?? 16e6 }, because: '' };
  const linkBytesPerSecond = (link.imported ?? link.staged).toDeviceBytesPerSecond;
  // Planning and predicting take their time, too.
  const seconds = 0.7 * budget.leftSeconds;
  return paperSizes(await measureRoom({ freeDeviceBytes, linkBytesPerSecond, seconds }, signal), deviceBytes);
}

type KernelBench = Omit<GpuBench, 'strategies' | 'sameTokens' | 'budget' | 'skipped'>;

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
    const timedGapSeconds = await measureTimedGap(clock);
    output.note('bench: the link');
    const link = await measureLink(index, quick ? 2 ** 21 : 2 ** 29, quick ? 256 : 4096);
    const rungs = await climbLadder(clock, sizes, ({ format, rows, depth, width }) => {
      signal.throwIfAborted();
      output.note(`bench: ${rows} rows of ${depth} x ${width} in ${format}`);
    });
    const kind = { device, driver, isCard, isQuick: quick };
    const gaps = { gapSeconds, timedGapSeconds };
    const { freeBytes, memoryBytes } = clock.facts;
    return {
      ...kind,
      sheet,
      copyBytesPerSecond,
      ...gaps,
      link,
      rungs,
      freeDeviceBytes: freeBytes ?? memoryBytes,
    };
  } finally {
    await clock.close();
  }
}

async function findPeaks(device: string): Promise<Peaks> {
  const { gpu } = await readParts();
  // The longest name that fits: `GeForce RTX 4090 Laptop` before `GeForce RTX 4090`; drivers write `A100-SXM4-80GB`.
  const letters = (text: string) => text.replace(/[^a-z0-9]+/gi, '').toLowerCase();
  const words = (name: string) =>
    name
      .replace(/(\d) GB/, '$1GB')
      .split(' ')
      .map(letters);
  const [part] = Object.values(gpu)
    .filter(({ name }) => words(name).every((word) => letters(device).includes(word)))
    .sort((a, b) => b.name.length - a.name.length);
  return {
    flopsPerSecond: part?.flops ? parseQuantity(part.flops.value, 'FLOP/s') : null,
    memoryBytesPerSecond: part?.memory ? parseQuantity(part.memory.value, 'B/s') : null,
    source: part?.flops?.source ?? null,
  };
}

/** What shares are of. */
function describePeaks({ flopsPerSecond, memoryBytesPerSecond, source }: Peaks): string {
  if (flopsPerSecond === null || memoryBytesPerSecond === null)
    return 'no data sheet in experiments/machines/parts/gpus.json has its name: memory is held against copies within it, arithmetic against nothing';
  return `by its data sheet ${formatFlops(flopsPerSecond)} in bf16 and ${formatRate(memoryBytesPerSecond)} (${source})`;
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

/** Of two kinds by turns. */
async function measureTimedGap(clock: KernelClock): Promise<number> {
  clock.clear();
  const [source, target, indices] = [clock.room(4), clock.room(4), clock.room(4)];
  await clock.fill(indices, 4, new Uint8Array(4));
  const nothing = [
    startsFinite({ source, target, rows: 1, width: 1 }),
    gather({ source, indices, target, rows: 1, width: 1 }, clock.facts),
  ];
  await clock.secondsEach(nothing, 1);
  return clock.secondsEach(nothing, 100);
}

function sayLadder(bench: KernelBench, output: Output): void {
  const { sheet, copyBytesPerSecond, gapSeconds, timedGapSeconds, link, rungs } = bench;
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
      `${(gapSeconds * 1e6).toFixed(1)} µs from kernel to kernel, ` +
      `${(timedGapSeconds * 1e6).toFixed(1)} µs where a timestamp lies between`,
  );
  output.say(describePeaks(sheet));
  for (const line of describeLink(link)) output.say(line);
  output.say(formatTable(columns, rungs));
  const wrong = rungs.filter(({ largestError, arithmetic }) => !(largestError <= errorBounds[arithmetic]));
  if (wrong.length > 0)
    throw new Error(
      `${wrong.length} of ${rungs.length} products are wrong, the first with ${wrong[0].rows} rows`,
    );
  output.say(`all ${rungs.length} products are right`);
}
