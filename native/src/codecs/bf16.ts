/** bf16, the upper half of fp32. */

import { bytesOf, halvesOf, narrowed, plainCodec } from './codec.js';

// One word seen both as a float and as its bits.
const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** fp32 bits of bf16 bits. */
export function bitsOfBf16(half: number): number {
  return (half << 16) >>> 0;
}

/** Rounds to nearest, ties to even. NaN stays NaN (quiet). */
export function narrowBf16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  float[0] = value;
  const bits = word[0];
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

export const bf16 = plainCodec('BF16', 2, {
  decode(stored, bits) {
    const halves = halvesOf(stored);
    for (let i = 0; i < halves.length; i += 1) bits[i] = bitsOfBf16(halves[i]);
  },
  encode: (values) => bytesOf(narrowed(values, narrowBf16)),
});
