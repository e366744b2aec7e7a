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

/** Eight values less 8 in a word, the first in its lowest bits, as compressed-tensors (`pack-quantized`) and GPTQ do. */
export const int4: Codec = {
  ...blockCodec(8, 4, (stored, at, values, to) => {
    for (let i = 0; i < 8; i += 1) values[to + i] = nibble(stored, at, i) - 8;
  }),
  scales: { dtype: 'bf16', rows: 1, columns: 128 },
};

/** AutoAWQ's order of values in a word: in which nibble each of eight rows lies. */
export const awqNibbles = [0, 4, 1, 5, 2, 6, 3, 7];

/** The same in AutoAWQ's order, of neighbouring rows (`gemm`). */
export const int4_awq: Codec = {
  ...blockCodec(8, 4, (stored, at, values, to) => {
    for (let i = 0; i < 8; i += 1) values[to + i] = nibble(stored, at, awqNibbles[i]) - 8;
  }),
  isAcross: true,
  scales: {
    ...{ dtype: 'f16', rows: 1, columns: 128 },
    zeros: { codec: 'int4_awq', groupStride: 0, isLessOne: false },
  },
};

function nibble(stored: Uint8Array, at: number, index: number): number {
  return (stored[at + (index >> 1)] >> (4 * (index & 1))) & 15;
}

/** Signed bytes, scaled per row as compressed-tensors' `int-quantized` does. */
export const int8: Codec = {
  ...blockCodec(1, 1, (stored, at, values, to) => {
    values[to] = (stored[at] << 24) >> 24;
  }),
  storedName: 'I8',
  scales: { dtype: 'bf16', rows: 1, columns: Number.POSITIVE_INFINITY },
};

/** Four values less 128 in a word, as compressed-tensors (`pack-quantized`) and GPTQ do. */
export const int8_packed: Codec = {
  ...blockCodec(4, 4, (stored, at, values, to) => {
    for (let i = 0; i < 4; i += 1) values[to + i] = stored[at + i] - 128;
  }),
  scales: { dtype: 'bf16', rows: 1, columns: 128 },
};
