/** Widening, element by element, on bit patterns: arithmetic could change a NaN's. */

import type { WeightDtype } from '../types.js';
import { bytesPerElement } from '../types.js';

/** fp32 bits of bf16 bits: bf16 is the upper half of fp32. */
export function bitsOfBf16(half: number): number {
  return (half << 16) >>> 0;
}

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

/** A view where the offset allows one, else a copy. */
function halvesAt(source: ArrayBufferLike, offset: number, count: number): Uint16Array {
  if (offset % 2 === 0) return new Uint16Array(source, offset, count);
  return new Uint16Array(Uint8Array.from(new Uint8Array(source, offset, 2 * count)).buffer);
}

export function widenBytes(
  source: ArrayBufferLike,
  sourceOffset: number,
  dtype: WeightDtype,
  count: number,
  target: ArrayBufferLike,
  targetOffset: number,
): void {
  if (dtype === 'f32') {
    const byteLength = count * bytesPerElement.f32;
    new Uint8Array(target, targetOffset, byteLength).set(new Uint8Array(source, sourceOffset, byteLength));
    return;
  }
  const bitsOf = dtype === 'bf16' ? bitsOfBf16 : bitsOfF16;
  const halves = halvesAt(source, sourceOffset, count);
  const words = new Uint32Array(target, targetOffset, count);
  for (let i = 0; i < count; i++) words[i] = bitsOf(halves[i]!);
}
