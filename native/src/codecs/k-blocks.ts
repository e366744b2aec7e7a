/**
 * ggml's K blocks: 256 values in groups of 32 or 16, whose scales (and minima) are themselves six or eight bits of an
 * fp16 scale of the block.
 *
 * Source: `dequantize_row_q4_K` and its neighbours in ggml-quants.c. All products are exact in fp32.
 */

import { blockCodec } from './codec.js';
import { floatOfF16 } from './f16.js';

const blockElements = 256;

/** fp16 scale, fp16 minimum, 8 scales and 8 minima of six bits in 12 bytes, nibbles. */
export const q4_k = blockCodec(blockElements, 144, (stored, at, values, to) => {
  const [scale, least] = [floatOfF16(stored, at), floatOfF16(stored, at + 2)];
  for (let group = 0; group < 8; group += 1) {
    const groupScale = scale * sixBits(stored, at + 4, group);
    const groupLeast = least * sixBitsOfMinimum(stored, at + 4, group);
    const nibbles = at + 16 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i += 1)
      values[to + 32 * group + i] = groupScale * ((stored[nibbles + i] >> shift) & 15) - groupLeast;
  }
});

/** As Q4_K, with 32 bytes of fifth bits before the nibbles: bit `group` of byte `i`. */
export const q5_k = blockCodec(blockElements, 176, (stored, at, values, to) => {
  const [scale, least] = [floatOfF16(stored, at), floatOfF16(stored, at + 2)];
  for (let group = 0; group < 8; group += 1) {
    const groupScale = scale * sixBits(stored, at + 4, group);
    const groupLeast = least * sixBitsOfMinimum(stored, at + 4, group);
    const nibbles = at + 48 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i += 1) {
      const high = (stored[at + 16 + i] >> group) & 1;
      const value = ((stored[nibbles + i] >> shift) & 15) | (high << 4);
      values[to + 32 * group + i] = groupScale * value - groupLeast;
    }
  }
});

/** Low nibbles of two halves, their upper two bits, 16 scales of eight bits, fp16 scale. */
export const q6_k = blockCodec(blockElements, 210, (stored, at, values, to) => {
  const scale = floatOfF16(stored, at + 208);
  for (let i = 0; i < blockElements; i += 1) {
    const [part, rest] = [i >> 7, i & 127]; // each half of the block has 64 bytes of nibbles and 32 of upper bits
    const group = rest >> 5;
    const low = (stored[at + 64 * part + (rest & 63)] >> (4 * (group >> 1))) & 15;
    const high = (stored[at + 128 + 32 * part + (rest & 31)] >> (2 * group)) & 3;
    const groupScale = (stored[at + 192 + (i >> 4)] << 24) >> 24;
    values[to + i] = scale * groupScale * ((low | (high << 4)) - 32);
  }
});

function sixBits(stored: Uint8Array, at: number, group: number): number {
  if (group < 4) return stored[at + group] & 63;
  return (stored[at + 4 + group] & 15) | ((stored[at + group - 4] >> 6) << 4);
}

function sixBitsOfMinimum(stored: Uint8Array, at: number, group: number): number {
  if (group < 4) return stored[at + 4 + group] & 63;
  return (stored[at + 4 + group] >> 4) | ((stored[at + group] >> 6) << 4);
}
