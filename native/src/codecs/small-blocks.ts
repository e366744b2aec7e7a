/**
 * ggml's blocks of 32 values with one scale: 4, 5 or 8 bits a value, centred (`_0`) or with a minimum (`_1`). The first
 * half of a block lies in the low nibbles, the second in the high ones; a fifth bit lies in a word before them.
 *
 * Source: `dequantize_row_*` of ggml-quants.c. Products of an fp16 scale and so few bits are exact in fp32.
 */

import { blockCodec, type Codec } from './codec.js';
import { floatOfF16 } from './f16.js';

const half = 16;

export const q4_0 = blockCodec(32, 18, (stored, at, values, to) => {
  const scale = floatOfF16(stored, at);
  for (let i = 0; i < half; i += 1) {
    const pair = stored[at + 2 + i];
    values[to + i] = scale * ((pair & 15) - 8);
    values[to + half + i] = scale * ((pair >> 4) - 8);
  }
});

export const q4_1 = blockCodec(32, 20, (stored, at, values, to) => {
  const [scale, least] = [floatOfF16(stored, at), floatOfF16(stored, at + 2)];
  for (let i = 0; i < half; i += 1) {
    const pair = stored[at + 4 + i];
    values[to + i] = scale * (pair & 15) + least;
    values[to + half + i] = scale * (pair >> 4) + least;
  }
});

export const q5_0 = blockCodec(32, 22, (stored, at, values, to) => {
  const scale = floatOfF16(stored, at);
  for (let i = 0; i < half; i += 1) {
    const pair = stored[at + 6 + i];
    values[to + i] = scale * (((pair & 15) | (fifthBit(stored, at + 2, i) << 4)) - 16);
    values[to + half + i] = scale * (((pair >> 4) | (fifthBit(stored, at + 2, half + i) << 4)) - 16);
  }
});

export const q5_1 = blockCodec(32, 24, (stored, at, values, to) => {
  const [scale, least] = [floatOfF16(stored, at), floatOfF16(stored, at + 2)];
  for (let i = 0; i < half; i += 1) {
    const pair = stored[at + 8 + i];
    values[to + i] = scale * ((pair & 15) | (fifthBit(stored, at + 4, i) << 4)) + least;
    values[to + half + i] = scale * ((pair >> 4) | (fifthBit(stored, at + 4, half + i) << 4)) + least;
  }
});

export const q8_0: Codec = blockCodec(32, 34, (stored, at, values, to) => {
  const scale = floatOfF16(stored, at);
  for (let i = 0; i < 32; i += 1) values[to + i] = scale * ((stored[at + 2 + i] << 24) >> 24);
});

function fifthBit(stored: Uint8Array, at: number, i: number): number {
  return (stored[at + (i >> 3)] >> (i & 7)) & 1;
}
