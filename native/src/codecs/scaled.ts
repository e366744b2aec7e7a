/** Small numbers whose scales lie in a tensor of their own. */

import { blockCodec, type Codec } from './codec.js';

/**
 * FP8 E4M3 without infinities: 1 sign, 4 exponent, 3 mantissa bits. Scaled in squares of 128 as DeepSeek and Qwen
 * publish, per row or as a whole as compressed-tensors does.
 */
export const fp8: Codec = {
  ...blockCodec(1, 1, (stored, at, values, to) => {
    values[to] = valueOfE4m3(stored[at]);
  }),
  storedName: 'F8_E4M3',
  scales: { dtype: 'f32', rows: 128, columns: 128 },
};

function valueOfE4m3(byte: number): number {
  const [exponent, mantissa] = [(byte >> 3) & 15, byte & 7];
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

/** compressed-tensors' `pack-quantized` of four bits: eight values less 8 in a word, the first in its lowest bits. */
export const int4: Codec = {
  ...blockCodec(8, 4, (stored, at, values, to) => {
    for (let i = 0; i < 8; i += 1) values[to + i] = ((stored[at + (i >> 1)] >> (4 * (i & 1))) & 15) - 8;
  }),
  scales: { dtype: 'bf16', rows: 1, columns: 128 },
};
