/** fp16: 1 sign, 5 exponent, 10 mantissa bits. */

import { bytesOf, halvesOf, narrowed, plainCodec } from './codec.js';

/** fp32 bits of fp16 bits. NaN keeps its payload and becomes quiet, as in the F16C instructions. */
export function bitsOfF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) {
    return (sign | 0x7f800000 | (mantissa << 13) | (mantissa === 0 ? 0 : 0x00400000)) >>> 0;
  }
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  const shift = Math.clz32(mantissa) - 21; // moves the leading one to bit 10
  return (sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)) >>> 0;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The value of the fp16 number at byte `at`. */
export function floatOfF16(stored: Uint8Array, at: number): number {
  word[0] = bitsOfF16(stored[at] | (stored[at + 1] << 8));
  return float[0];
}

/** Rounds to nearest, ties to even; beyond 65504 (and its rounding) infinity. */
export function narrowF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  // The spacing of fp16 numbers around `magnitude`; below 2^-14 they are denormal, 2^-24 apart.
  const exponent = Math.max(Math.floor(Math.log2(magnitude || 2 ** -24)), -14);
  const steps = roundHalfEven(magnitude / 2 ** (exponent - 10));
  // A mantissa that rounds up to 2048 carries into the exponent, which addition does by itself.
  return sign | (exponent === -14 && steps < 1024 ? steps : ((exponent + 15) << 10) + (steps - 1024));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

export const f16 = plainCodec('F16', 2, {
  decode(stored, bits) {
    const halves = halvesOf(stored);
    for (let i = 0; i < halves.length; i += 1) bits[i] = bitsOfF16(halves[i]);
  },
  encode: (values) => bytesOf(narrowed(values, narrowF16)),
});
