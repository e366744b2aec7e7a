/** The ladder for a GPU: what its kernels reach of what the card has. */

import { parseQuantity } from '@specoffload/input';
import { startsFinite } from '@specoffload/native';
import { readParts } from '../../inputs/machine-parts.js';
import { formatFlops, formatPercent, formatRate } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type Column, formatTable } from '../../terminal/table.js';
import { KernelClock } from './kernel-clock.js';
import { describeLink, type LinkRates, measureLink } from './link-rates.js';
import { climbLadder, fullLadder, ladderBytes, quickLadder, type Rung } from './matmul-ladder.js';

export interface GpuBenchOptions {
  /** Of several GPUs. */
  readonly index: number;
  readonly quick: boolean;
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
  readonly sheet: Peaks;
  /** Within the card's memory, bytes read and bytes written together. */
  readonly copyBytesPerSecond: number;
  /** From the start of one kernel that does next to nothing to the start of the next, which waits for it. */
  readonly gapSeconds: number;
  readonly link: LinkRates;
  readonly rungs: readonly Rung[];
}

/** Of products added up in fp32 in whatever order, of inputs as they are or narrowed to 16 bits. */
const errorBounds = { f32: 1e-6, f16: 2 ** -11, bf16: 2 ** -8 };

/** @throws Error when a number is wrong, after all have been said */
export async function runGpuBench({ index, quick, output, signal }: GpuBenchOptions): Promise<GpuBench> {
  const isProcessor = KernelClock.isProcessor(index);
  if (isProcessor && !quick) output.note('bench: the device is a processor: the small version');
  const isSmall = quick || isProcessor;
  const sizes = isSmall ? quickLadder : fullLadder;
  const clock = await KernelClock.open(index, ladderBytes(sizes));
  try {
    const { name: device, driver } = clock.facts;
    const sheet = await findPeaks(device);
    output.say(`${device}, ${driver}`);
    const copyBytesPerSecond = await measureCopies(clock, sizes.weightBytes / 2);
    const gapSeconds = await measureGap(clock);
    output.note('bench: the link');
    const link = await measureLink(index, isSmall ? 2 ** 21 : 2 ** 29, isSmall ? 256 : 4096);
    const rungs = await climbLadder(clock, sizes, ({ format, rows, depth, width }) => {
      signal.throwIfAborted();
      output.note(`bench: ${rows} rows of ${depth} x ${width} in ${format}`);
    });
    const bench = { device, driver, sheet, copyBytesPerSecond, gapSeconds, link, rungs };
    sayLadder(bench, output);
    output.document(bench);
    return bench;
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

function sayLadder(bench: GpuBench, output: Output): void {
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
  for (const line of verdicts(bench)) output.say(line);
}

/** What is wanted of a card: few rows at the pace of its memory, many near what its arithmetic allows. */
export function verdicts({ sheet, copyBytesPerSecond, rungs }: GpuBench): string[] {
  const most = (of: readonly Rung[], rate: (rung: Rung) => number) => Math.max(0, ...of.map(rate));
  const few = rungs.filter(({ rows, format }) => rows <= 16 && format === 'bf16');
  const memory = sheet.memoryBytesPerSecond ?? copyBytesPerSecond;
  const lines = [
    judge('few rows, of memory bandwidth', most(few, (rung) => rung.weightBytesPerSecond) / memory, 0.7),
  ];
  const many = rungs.filter(({ rows, format }) => rows >= 512 && format === 'bf16');
  if (sheet.flopsPerSecond !== null && many.length > 0)
    lines.push(
      judge(
        '512 rows and more, of bf16 peak',
        most(many, (rung) => rung.flopsPerSecond) / sheet.flopsPerSecond,
        0.4,
      ),
    );
  return lines;
}

function judge(what: string, reached: number, wanted: number): string {
  return `${reached >= wanted ? 'reached' : 'missed'}: ${what}: ${formatPercent(reached)}, wanted ${formatPercent(wanted)}`;
}
