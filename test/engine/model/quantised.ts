/** Checkpoints whose projections are quantised with scales in tensors of their own, each beside one with the values meant. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readTensor, type TensorRef } from '@specoffload/engine';
import { decodeWeights, plainCodecs } from '@specoffload/native';
import { createRandom } from '../../native/helpers.js';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';
import { goldenDirectory } from './golden.js';

export const root = createTemporaryDirectory();
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
const scalesOf = (count: number) =>
  rounded(Float32Array.from({ length: count }, () => 0.01 + random() / 100));

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
  const scales = scalesOf(grid[0] * grid[1]);
  const values = Float32Array.from(stored, (byte, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return valueOfE4m3(byte) * scales[Math.floor(row / shared[0]) * grid[1] + Math.floor(column / shared[1])];
  });
  const tensors = { weight: { dtype: 'F8_E4M3', shape: [rows, columns], bytes: stored } };
  return { values, tensors: { ...tensors, [name]: { ...bf16(scales), shape: grid } } };
}

export function asInt4([rows, columns]: readonly number[], group: number): Quantised {
  const numbers = bytesOf(rows * columns, 16);
  const packed = Uint8Array.from(
    { length: numbers.length / 2 },
    (_, i) => numbers[2 * i] | (numbers[2 * i + 1] << 4),
  );
  const scales = scalesOf((rows * columns) / group);
  return {
    values: Float32Array.from(numbers, (number, i) => (number - 8) * scales[Math.floor(i / group)]),
    tensors: {
      weight_packed: { dtype: 'I32', shape: [rows, columns / 8], bytes: packed },
      weight_scale: { ...bf16(scales), shape: [rows, columns / group] },
      weight_shape: {
        dtype: 'I64',
        shape: [2],
        bytes: new Uint8Array(new BigInt64Array([BigInt(rows), BigInt(columns)]).buffer),
      },
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
export async function writePair(name: string, quantisation: object, quantise: (ref: TensorRef) => Quantised) {
  const [stored, plain]: Record<string, Raw>[] = [{}, {}];
  for (const ref of (await openCheckpoint(original)).tensors.values()) {
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
