/** How fast one core decodes stored weights, in blocks that stay in its cache, as the link and the kernels ask for them. */

import { measureDecoding } from '@specoffload/engine';
import { codecs, f32, type WeightDtype } from '@specoffload/native';
import { formatRate } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';

export interface DecodingRate {
  readonly dtype: WeightDtype;
  /** Of what is stored; the best of many. */
  readonly storedBytesPerSecond: number;
}

const numValues = 2 ** 16;
const dtypes: readonly WeightDtype[] = [
  ...(['bf16', 'bf16_packed', 'q8_0', 'q4_0', 'q4_1', 'q4_k', 'q5_k', 'q6_k', 'mxfp4'] as const),
];

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

/** fp32 bytes of a stored one. */
function growth(dtype: WeightDtype): number {
  return f32.bytes(numValues) / codecs[dtype].bytes(numValues);
}

function timeOne(dtype: WeightDtype): number {
  return (measureDecoding(dtype) * f32.bytes(1)) / growth(dtype);
}
