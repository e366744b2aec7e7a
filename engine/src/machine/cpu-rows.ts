/** Row-wise data movement and small reductions of the processor. */

import { f32 } from '@specoffload/native';
import type { FfnSpec } from '../model/spec.js';
import { drawTokens } from '../speculate/draw-token.js';
import type {
  ArgmaxCommand,
  ExpertChoices,
  GatherCommand,
  NumbersOnDevice,
  RouteCommand,
  RowMaxima,
  ScatterAddCommand,
  StartsFiniteCommand,
} from './device.js';
import type { PoolMemory } from './pool.js';
import { chooseExperts, listRows } from './routing.js';

export function gatherRows(memory: PoolMemory, command: GatherCommand): void {
  const { source, width, target } = command;
  const indices = wholeIn(memory, command.indices);
  const to = memory.floats(target, indices.length * width);
  for (let row = 0; row < indices.length; row += 1)
    to.set(memory.floats(source + f32.bytes(indices[row] * width), width), row * width);
}

export function scatterAddRows(
  memory: PoolMemory,
  { source, indices: rows, scales: factors, width, target }: ScatterAddCommand,
): void {
  const [indices, scales] = [wholeIn(memory, rows), floatsIn(memory, factors)];
  for (let row = 0; row < indices.length; row += 1) {
    const from = memory.floats(source + f32.bytes(row * width), width);
    const to = memory.floats(target + f32.bytes(indices[row] * width), width);
    const scale = scales[row];
    for (let i = 0; i < width; i += 1) to[i] += scale * from[i];
  }
}

/** Chooses experts, and writes the lists of their rows. */
export function routeRows(
  memory: PoolMemory,
  ffn: FfnSpec,
  { scores, rows, lists }: RouteCommand,
): ExpertChoices {
  const { experts, margins, weights } = chooseExperts(ffn, memory.floats(scores, rows * ffn.numExperts));
  const { indices, scales } = listRows(ffn, experts, weights);
  wholeIn(memory, { address: lists, length: indices.length }).set(indices);
  memory.floats(lists + f32.bytes(indices.length), scales.length).set(scales);
  return { experts, margins };
}

function wholeIn(memory: PoolMemory, numbers: Int32Array | NumbersOnDevice): Int32Array {
  if (!('address' in numbers)) return numbers;
  const { buffer, byteOffset, length } = floatsIn(memory, numbers);
  return new Int32Array(buffer, byteOffset, length);
}

function floatsIn(memory: PoolMemory, numbers: Float32Array | NumbersOnDevice): Float32Array {
  return 'address' in numbers ? memory.floats(numbers.address, numbers.length) : numbers;
}

/** Mutates `values`. */
export function scaleValues(values: Float32Array, factor: number): void {
  for (let i = 0; i < values.length; i += 1) values[i] *= factor;
}

export function maximaOf(memory: PoolMemory, { source, rows, width, draws }: ArgmaxCommand): RowMaxima {
  if (draws) return drawTokens(draws, rows, (row) => memory.floats(source + f32.bytes(row * width), width));
  const ids = new Int32Array(rows);
  const margins = new Float32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const values = memory.floats(source + f32.bytes(row * width), width);
    let best = 0;
    let second = Number.NEGATIVE_INFINITY;
    let notFinite = values[0] - values[0]; // NaN from the first value on that is not finite
    for (let id = 1; id < width; id += 1) {
      const value = values[id];
      notFinite += value - value;
      if (value > values[best]) {
        second = values[best];
        best = id;
      } else if (value > second) second = value;
    }
    ids[row] = best;
    margins[row] = values[best] - second + notFinite;
  }
  return { ids, margins };
}

/** Brings values to between -clip and clip; what is no number stays none. Mutates `values`. */
export function clipValues(values: Float32Array, clip: number): void {
  for (let i = 0; i < values.length; i += 1)
    if (Math.abs(values[i]) > clip) values[i] = values[i] < 0 ? -clip : clip;
}

export function startsFinite(memory: PoolMemory, { source, rows, width }: StartsFiniteCommand): boolean {
  const values = memory.floats(source, rows * width);
  for (let at = 0; at < values.length; at += width) if (!Number.isFinite(values[at])) return false;
  return true;
}
