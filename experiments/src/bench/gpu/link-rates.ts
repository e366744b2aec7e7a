/** The way between host and GPU: copies out of imported memory, through staging buffers, and kernels that read host memory. */

import { type DeviceRates, measureDevice } from '@specoffload/engine';
import { codecs, matmul, spaces } from '@specoffload/native';
import { formatRate, threeDigits } from '../../terminal/format.js';
import { KernelClock } from './kernel-clock.js';

export interface LinkRates {
  /** Null where the driver refuses to import memory of the process. */
  readonly imported: DeviceRates | null;
  readonly staged: DeviceRates;
  /** Of weights in host memory that one row is multiplied with where they lie; null where the GPU does not reach them. */
  readonly zeroCopyBytesPerSecond: number | null;
}

export async function measureLink(index: number, weightBytes: number, width: number): Promise<LinkRates> {
  const kind = `vulkan:${index}`;
  const sizes = { weightBytes, width };
  const { facts, rates } = await measureDevice({ kind }, sizes);
  const isImported = facts.link === 'imported';
  return {
    imported: isImported ? rates : null,
    staged: isImported
      ? (await measureDevice({ kind, trials: { refusesImport: true } }, sizes)).rates
      : rates,
    zeroCopyBytesPerSecond: isImported ? await measureZeroCopy(index, weightBytes, width) : null,
  };
}

async function measureZeroCopy(index: number, weightBytes: number, depth: number): Promise<number> {
  const rowBytes = codecs.bf16.bytes(depth);
  const width = Math.floor(weightBytes / rowBytes);
  const clock = await KernelClock.open(index, 4 * (depth + width) + 4096, weightBytes);
  try {
    const [x, y] = [clock.room(4 * depth), clock.room(4 * width)];
    await clock.fill(x, 4 * depth, new Uint8Array(4));
    const weights = { address: spaces.host, format: 'bf16' as const, rowBytes };
    const product = [matmul({ weights, x, y, rows: 1, depth, width, isAligned: true }, clock.facts)];
    await clock.secondsEach(product, 1);
    return (rowBytes * width) / (await clock.secondsEach(product, 2));
  } finally {
    await clock.close();
  }
}

export function describeLink({ imported, staged, zeroCopyBytesPerSecond }: LinkRates): string[] {
  const copies = (rates: DeviceRates) =>
    `${formatRate(rates.toDeviceBytesPerSecond)} there, ${formatRate(rates.fromDeviceBytesPerSecond)} back`;
  return [
    imported ? `copies with imported host memory ${copies(imported)}` : 'the driver imports no host memory',
    `copies through staging buffers ${copies(staged)}`,
    ...(zeroCopyBytesPerSecond === null
      ? []
      : [`weights read by kernels where they lie in host memory ${formatRate(zeroCopyBytesPerSecond)}`]),
    `answers to an empty submission after ${threeDigits((imported ?? staged).answerSeconds * 1e6)} µs`,
  ];
}
