/** Checkpoints quantised in every way that is read, with random numbers, and what they mean by the formats' definitions. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readTensor, type TensorRef } from '@specoffload/engine';
import { decodeWeights, plainCodecs } from '@specoffload/native';
import { createRandom } from '../../native/helpers.js';
import { writeDirectory } from './fixtures.js';
import { goldenDirectory } from './golden.js';

const original = goldenDirectory('qwen3');
export const config = JSON.parse(readFileSync(join(original, 'config.json'), 'utf8'));

export interface Raw {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Stored tensors by the end of their name after `….q_proj`, and the values that they mean. */
export interface Quantised {
  readonly tensors: Readonly<Record<string, Raw>>;
  readonly values: Float32Array;
}

const random = createRandom(5);
const bytesOf = (count: number, most = 256) =>
  Uint8Array.from({ length: count }, () => Math.floor(random() * most));
const bf16 = (values: Float32Array): Raw => ({
  dtype: 'BF16',
  shape: [],
  bytes: plainCodecs.bf16.encode(values),
});
const rounded = (values: Float32Array) => decodeWeights(plainCodecs.bf16.encode(values), 'bf16');
/** Under which numbers of so many bits are about as large as weights. */
const scalesOf = (count: number, bits: number) =>
  rounded(Float32Array.from({ length: count }, () => (0.5 + random()) / 2 ** bits));

/** By its definition: 1 sign, 4 exponent, 3 mantissa bits, bias 7. */
function valueOfE4m3(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const magnitude = exponent === 0 ? (byte & 7) * 2 ** -9 : (1 + (byte & 7) / 8) * 2 ** (exponent - 7);
  return byte & 0x80 ? -magnitude : magnitude;
}

/** @param shared rows and columns under one scale */
export function asFp8(
  [rows, columns]: readonly number[],
  shared: readonly [number, number],
  name: string,
): Quantised {
  const stored = bytesOf(rows * columns, 0x78);
  const grid = [Math.ceil(rows / shared[0]), Math.ceil(columns / shared[1])];
  const scales = scalesOf(grid[0] * grid[1], 11);
  const values = Float32Array.from(stored, (byte, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return valueOfE4m3(byte) * scales[Math.floor(row / shared[0]) * grid[1] + Math.floor(column / shared[1])];
  });
  const tensors = { weight: { dtype: 'F8_E4M3', shape: [rows, columns], bytes: stored } };
  return { values, tensors: { ...tensors, [name]: { ...bf16(scales), shape: grid } } };
}

type Grid = readonly [rows: number, columns: number];

/** Numbers of so many bits and zero points, scales of groups of columns, and what they mean. */
function integers(
  [rows, columns]: Grid,
  bits: 4 | 8,
  group: number,
  groupOf = (column: number) => Math.floor(column / group),
  leastPoint = 0,
) {
  const groups = columns / group;
  const numbers = bytesOf(rows * columns, 2 ** bits);
  const points = bytesOf(rows * groups, 2 ** bits).map((point) => Math.max(leastPoint, point));
  const scales = scalesOf(rows * groups, bits);
  const values = Float32Array.from(numbers, (number, i) => {
    const at = Math.floor(i / columns) * groups + groupOf(i % columns);
    return (number - points[at]) * scales[at];
  });
  return { numbers, points, scales, values, groups };
}

/** Whole numbers of so many bits in words, the first in the lowest bits. */
function packed(numbers: Iterable<number>, bits: 4 | 8): Uint8Array {
  const all = [...numbers];
  if (bits === 8) return Uint8Array.from(all);
  return Uint8Array.from({ length: all.length / 2 }, (_, i) => all[2 * i] | (all[2 * i + 1] << 4));
}

const int32 = (shape: readonly number[], bytes: Uint8Array): Raw => ({ dtype: 'I32', shape, bytes });

/** The value of a row and column at its place, in an order of one's own. */
function reordered<Item>(count: number, itemAt: (index: number) => Item): Item[] {
  return Array.from({ length: count }, (_, index) => itemAt(index));
}

/** compressed-tensors, `pack-quantized`. */
export function asPacked(
  shape: readonly number[],
  bits: 4 | 8,
  group: number,
  { isSymmetric = true, isSorted = false } = {},
): Quantised {
  const [rows, columns] = shape as Grid;
  const half = 2 ** (bits - 1);
  const each = 32 / bits;
  const groupOf = isSorted ? (column: number) => (column * 7) % (columns / group) : undefined;
  const { numbers, points, scales, values, groups } = integers([rows, columns], bits, group, groupOf);
  const centred = Float32Array.from(numbers, (number, i) => (number - half) * scales[Math.floor(i / group)]);
  const point = (index: number) => {
    const [word, nibble] = [Math.floor(index / each), index % each];
    return points[(Math.floor(word / groups) * each + nibble) * groups + (word % groups)];
  };
  return {
    values: isSymmetric ? centred : values,
    tensors: {
      weight_packed: int32([rows, columns / each], packed(numbers, bits)),
      weight_scale: { ...bf16(scales), shape: [rows, groups] },
      ...(!isSymmetric && {
        weight_zero_point: int32([rows / each, groups], packed(reordered(points.length, point), bits)),
      }),
      ...(groupOf && { weight_g_idx: int32([columns], bytesOfInts(reordered(columns, groupOf))) }),
      weight_shape: {
        dtype: 'I64',
        shape: [2],
        bytes: new Uint8Array(new BigInt64Array([BigInt(rows), BigInt(columns)]).buffer),
      },
    },
  };
}

function bytesOfInts(values: readonly number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer);
}

/** compressed-tensors, `int-quantized`, one scale for each row. */
export function asInt8(shape: readonly number[]): Quantised {
  const [rows, columns] = shape as Grid;
  const { numbers, points, scales, values } = integers([rows, columns], 8, columns);
  const signed = (bytes: Uint8Array) => bytes.map((byte) => byte - 128);
  return {
    values,
    tensors: {
      weight: { dtype: 'I8', shape: [rows, columns], bytes: signed(numbers) },
      weight_scale: { ...bf16(scales), shape: [rows, 1] },
      weight_zero_point: { dtype: 'I8', shape: [rows, 1], bytes: signed(points) },
    },
  };
}

/** @param isSorted columns are in the groups of others (act order) */
export function asGptq(
  shape: readonly number[],
  bits: 4 | 8,
  group: number,
  isLessOne: boolean,
  isSorted = false,
): Quantised {
  const [rows, columns] = shape as Grid;
  const each = 32 / bits;
  const groupOf = (column: number) =>
    isSorted ? (column * 7) % (columns / group) : Math.floor(column / group);
  const least = Number(isLessOne);
  const { numbers, points, scales, values, groups } = integers([rows, columns], bits, group, groupOf, least);
  // Words of neighbouring columns, row by row.
  const number = (index: number) => {
    const [word, nibble] = [Math.floor(index / each), index % each];
    return numbers[(word % rows) * columns + Math.floor(word / rows) * each + nibble];
  };
  const transposed = <List extends Uint8Array | Float32Array>(list: List) =>
    reordered(list.length, (index) => list[(index % rows) * groups + Math.floor(index / rows)]);
  return {
    values,
    tensors: {
      qweight: int32([columns / each, rows], packed(reordered(numbers.length, number), bits)),
      qzeros: int32(
        [groups, rows / each],
        packed(
          transposed(points).map((point) => point - least),
          bits,
        ),
      ),
      scales: { ...bf16(Float32Array.from(transposed(scales))), shape: [groups, rows] },
      g_idx: int32([columns], bytesOfInts(reordered(columns, groupOf))),
      bias: { dtype: 'F16', shape: [rows], bytes: new Uint8Array(2 * rows) },
    },
  };
}

/** AutoAWQ's `gemm`: words of eight rows in its order, column by column. */
export function asAwq(shape: readonly number[], group: number): Quantised {
  const [rows, columns] = shape as Grid;
  const { numbers, points, scales, values, groups } = integers([rows, columns], 4, group);
  const order = [0, 2, 4, 6, 1, 3, 5, 7];
  const transposed = <List extends Uint8Array | Float32Array>(list: List, width: number, inOrder: boolean) =>
    reordered(list.length, (index) => {
      const row = index % rows;
      const from = inOrder ? row : row - (row % 8) + order[row % 8];
      return list[from * width + Math.floor(index / rows)];
    });
  return {
    values,
    tensors: {
      qweight: int32([columns, rows / 8], packed(transposed(numbers, columns, false), 4)),
      qzeros: int32([groups, rows / 8], packed(transposed(points, groups, false), 4)),
      scales: { ...bf16(Float32Array.from(transposed(scales, groups, true))), shape: [groups, rows] },
    },
  };
}

export function writeSafetensors(path: string, tensors: Readonly<Record<string, Raw>>): void {
  let end = 0;
  const header = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]));
}

/** The golden model with its projections quantised, and the same with the values that they mean. */
export async function writePair(
  root: string,
  name: string,
  quantisation: object,
  quantise: (ref: TensorRef) => Quantised,
  golden = original,
) {
  const config = JSON.parse(readFileSync(join(golden, 'config.json'), 'utf8'));
  const [stored, plain]: Record<string, Raw>[] = [{}, {}];
  for (const ref of (await openCheckpoint(golden)).tensors.values()) {
    const { shape } = ref;
    const isQuantised = ref.name.endsWith('_proj.weight');
    const kept = { dtype: 'F32', shape, bytes: plainCodecs.f32.encode(await readTensor(ref)) };
    const { tensors, values } = isQuantised ? quantise(ref) : { tensors: { weight: kept }, values: null };
    const stem = ref.name.slice(0, -'weight'.length);
    for (const [ending, raw] of Object.entries(tensors)) stored[stem + ending] = raw;
    plain[ref.name] = values ? { ...kept, bytes: plainCodecs.f32.encode(values) } : kept;
  }
  const directories = [
    writeDirectory(root, name, { 'config.json': { ...config, quantization_config: quantisation } }),
    writeDirectory(root, `${name}-plain`, { 'config.json': config }),
  ];
  for (const [i, tensors] of [stored, plain].entries())
    writeSafetensors(join(directories[i], 'model.safetensors'), tensors);
  return { directories, stored };
}

export const compressed = (weights: object) => ({
  quant_method: 'compressed-tensors',
  config_groups: { group_0: { weights } },
});

interface Kind {
  readonly quantisation: object;
  quantise(ref: Pick<TensorRef, 'shape'>): Quantised;
}

const gptq = { quant_method: 'gptq', desc_act: false };

/** One of each way in which numbers, scales, zero points and groups may lie. */
export const quantisedKinds: Readonly<Record<string, Kind>> = {
  'fp8 in squares': {
    quantisation: { quant_method: 'fp8' },
    quantise: ({ shape }) => asFp8(shape, [32, 32], 'weight_scale_inv'),
  },
  'fp8 by row': {
    quantisation: compressed({ num_bits: 8, type: 'float' }),
    quantise: ({ shape }) => asFp8(shape, [1, shape[1]], 'weight_scale'),
  },
  'fp8 as a whole': {
    quantisation: compressed({ num_bits: 8, type: 'float' }),
    quantise: ({ shape }) => asFp8(shape, [shape[0], shape[1]], 'weight_scale'),
  },
  'four bits': {
    quantisation: compressed({ num_bits: 4, type: 'int', group_size: 16 }),
    quantise: ({ shape }) => asPacked(shape, 4, 16),
  },
  'four bits with zero points': {
    quantisation: compressed({ num_bits: 4, type: 'int', symmetric: false, group_size: 16 }),
    quantise: ({ shape }) => asPacked(shape, 4, 16, { isSymmetric: false }),
  },
  'four bits in groups of their own': {
    quantisation: compressed({ num_bits: 4, symmetric: false, actorder: 'group', group_size: 8 }),
    quantise: ({ shape }) => asPacked(shape, 4, 8, { isSymmetric: false, isSorted: true }),
  },
  'eight bits packed': {
    quantisation: compressed({ num_bits: 8, type: 'int', symmetric: false, group_size: 16 }),
    quantise: ({ shape }) => asPacked(shape, 8, 16, { isSymmetric: false }),
  },
  'eight bits by row': {
    quantisation: compressed({ num_bits: 8, strategy: 'channel' }),
    quantise: ({ shape }) => asInt8(shape),
  },
  GPTQ: {
    quantisation: { ...gptq, bits: 4, group_size: 16 },
    quantise: ({ shape }) => asGptq(shape, 4, 16, true),
  },
  'GPTQ in the order of activations': {
    quantisation: { ...gptq, bits: 4, group_size: 8, desc_act: true, checkpoint_format: 'gptq_v2' },
    quantise: ({ shape }) => asGptq(shape, 4, 8, false, true),
  },
  'GPTQ of eight bits': {
    quantisation: { ...gptq, bits: 8, group_size: -1 },
    quantise: ({ shape }) => asGptq(shape, 8, shape[1], true),
  },
  AWQ: {
    quantisation: { quant_method: 'awq', bits: 4, group_size: 16, version: 'gemm', zero_point: true },
    quantise: ({ shape }) => asAwq(shape, 16),
  },
};
