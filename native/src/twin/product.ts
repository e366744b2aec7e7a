/** The twin of the native products: weights decoded row by row, plain sums in fp64 rounded once. */

import { type Codec, codecs } from '../codecs/index.js';
import { decodeMatrix, layoutOf, storedRow } from '../codecs/matrix.js';
import type { GatingCall, NormCall, ProductCall } from '../types.js';

export function multiply(call: ProductCall): void {
  const { dtype, weights, x, y, rows, depth, width, bias, addend } = call;
  const layout = layoutOf(call, call.depth, call.width);
  const decoded = layout && new Uint32Array(width * depth);
  if (layout && decoded) decodeMatrix(weights, 0, dtype, layout, decoded);
  const codec: Codec = codecs[dtype];
  const rowBytes = codec.bytes(depth);
  const bits = new Uint32Array(depth);
  const weightRow = new Float32Array(bits.buffer);
  for (let out = 0; out < width; out += 1) {
    const from = storedRow(call, out) * rowBytes;
    if (decoded) bits.set(decoded.subarray(out * depth, (out + 1) * depth));
    else codec.decode(weights.subarray(from, from + rowBytes), bits);
    for (let row = 0; row < rows; row += 1) {
      let sum = bias?.[out] ?? 0;
      for (let k = 0; k < depth; k += 1) sum += x[row * depth + k] * weightRow[k];
      y[row * width + out] = sum + (addend?.[row * width + out] ?? 0);
    }
  }
}

export function normalise({ x, weight, addend, y, rows, width, eps, offset }: NormCall): void {
  for (let row = 0; row < rows; row += 1) {
    const start = row * width;
    let squares = 0;
    for (let i = start; i < start + width; i += 1) squares += x[i] ** 2;
    const scale = 1 / Math.sqrt(squares / width + eps);
    for (let i = 0; i < width; i += 1)
      y[start + i] = x[start + i] * scale * (offset + weight[i]) + (addend?.[start + i] ?? 0);
  }
}

export function activate({ activation, gate, up, count, limit, alpha }: GatingCall): void {
  const combine = gatings[activation];
  for (let i = 0; i < count; i += 1) gate[i] = combine(gate[i], up[i], limit, alpha);
}

type Combine = (gate: number, up: number, limit: number, alpha: number) => number;

const gatings: Readonly<Record<GatingCall['activation'], Combine>> = {
  silu: (gate, up) => (gate / (1 + Math.exp(-gate))) * up,
  'gelu-tanh': (gate, up) =>
    0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up,
  'clamped-swiglu': (gate, up, limit, alpha) => {
    const clamped = Math.min(gate, limit);
    return (clamped / (1 + Math.exp(-alpha * clamped))) * (Math.max(-limit, Math.min(limit, up)) + 1);
  },
};
