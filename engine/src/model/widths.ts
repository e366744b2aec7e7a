/** Element types of a checkpoint to fp32 and back, in plain TypeScript: the readable twin of native `widen`. */

import { bytesPerElement, type WeightDtype } from '@specoffload/native';

// One word seen both as a float and as its bits.
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** bf16 is the upper half of an fp32: widening is a shift. */
export function widenBf16(half: number): number {
  bits[0] = half << 16;
  return float[0]!;
}

/** fp16 (1 sign, 5 exponent, 10 mantissa bits) to fp32, exactly, denormals included. */
export function widenF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** fp32 to bf16, rounding to nearest, ties to even. NaN stays NaN (quiet). */
export function narrowBf16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  float[0] = value;
  const word = bits[0]!;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** A number to fp16, rounding to nearest, ties to even; beyond 65504 (and its rounding) infinity. */
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

/** Widens little-endian elements of `dtype` to fp32. `bytes` need no alignment. */
export function widenBytes(bytes: Uint8Array, dtype: WeightDtype): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = bytesPerElement[dtype];
  const out = new Float32Array(bytes.byteLength / width);
  for (let i = 0; i < out.length; i++) out[i] = readElement(view, i * width, dtype);
  return out;
}

/** Narrows fp32 to little-endian elements of `dtype`, rounding to nearest, ties to even. */
export function narrowToBytes(values: Float32Array, dtype: WeightDtype): Uint8Array {
  const width = bytesPerElement[dtype];
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) writeElement(view, i * width, dtype, values[i]!);
  return bytes;
}

export function readElement(view: DataView, byteOffset: number, dtype: WeightDtype): number {
  if (dtype === 'f32') return view.getFloat32(byteOffset, true);
  const half = view.getUint16(byteOffset, true);
  return dtype === 'bf16' ? widenBf16(half) : widenF16(half);
}

export function writeElement(view: DataView, byteOffset: number, dtype: WeightDtype, value: number): void {
  if (dtype === 'f32') view.setFloat32(byteOffset, value, true);
  else view.setUint16(byteOffset, dtype === 'bf16' ? narrowBf16(value) : narrowF16(value), true);
}
