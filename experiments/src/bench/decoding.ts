/** How fast one core decodes stored weights, in blocks that stay in its cache, as the link and the kernels ask for them. */

import { codecs, f32, loadNativeCore, type WeightDtype } from '@specoffload/native';
import { formatRate } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';

export interface DecodingRate {
  readonly dtype: WeightDtype;
  /** Of what is stored; the best of many. */
  readonly storedBytesPerSecond: number;
}

const numValues = 2 ** 16;
const numRounds = 200;
const dtypes: readonly WeightDtype[] = ['bf16', 'q8_0', 'q4_0', 'q4_1', 'q4_k', 'q5_k', 'q6_k', 'mxfp4'];

export function timeDecoding(output: Output): readonly DecodingRate[] {
  output.note('bench: decoding of stored weights');
  const rates = dtypes.map((dtype) => ({ dtype, storedBytesPerSecond: timeOne(dtype) }));
  output.say(`\ndecoding to fp32 on one core, ${numValues} values at a time (goal 4 GB/s of Q4_K and MXFP4)`);
  output.say(
    formatTable<DecodingRate>(
      [
        { title: 'stored as', align: 'left', text: ({ dtype }) => dtype },
        { title: 'of what is stored', text: (rate) => formatRate(rate.storedBytesPerSecond) },
        { title: 'fp32', text: (rate) => formatRate(rate.storedBytesPerSecond * growth(rate.dtype)) },
      ],
      rates,
    ),
  );
  return rates;
}

function growth(dtype: WeightDtype): number {
  return f32.bytes(numValues) / codecs[dtype].bytes(numValues);
}

function timeOne(dtype: WeightDtype): number {
  const core = loadNativeCore();
  const bytes = codecs[dtype].bytes(numValues);
  const [source, target] = [core.createArena(bytes), core.createArena(f32.bytes(numValues))];
  try {
    // Any bytes, but no scale that is not a number and none so small that arithmetic turns slow.
    new Uint8Array(source.buffer).forEach((_, i, stored) => {
      stored[i] = 0x20 + ((i * 37) & 0x1f);
    });
    let leastSeconds = Number.POSITIVE_INFINITY;
    for (let round = 0; round < numRounds; round += 1) {
      const start = performance.now();
      core.widen(source, 0, dtype, numValues, target, 0);
      leastSeconds = Math.min(leastSeconds, (performance.now() - start) / 1000);
    }
    return bytes / leastSeconds;
  } finally {
    source.release();
    target.release();
  }
}
