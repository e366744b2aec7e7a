import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readTensor, type TensorRef } from '@specoffload/engine';
import { decodeWeights, plainCodecs } from '@specoffload/native';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../native/helpers.js';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';
import { goldenDirectory } from './golden.js';

const root = createTemporaryDirectory();
const original = goldenDirectory('qwen3');
const config = JSON.parse(readFileSync(join(original, 'config.json'), 'utf8'));

interface Raw {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Stored tensors by the end of their name after `….q_proj`, and the values that they mean. */
interface Quantised {
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
function asFp8(
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

function asInt4([rows, columns]: readonly number[], group: number): Quantised {
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

function writeSafetensors(path: string, tensors: Readonly<Record<string, Raw>>): void {
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
async function writePair(name: string, quantisation: object, quantise: (ref: TensorRef) => Quantised) {
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

const compressed = (weights: object) => ({
  quant_method: 'compressed-tensors',
  config_groups: { group_0: { weights } },
});

describe('quantised safetensors', () => {
  it.each<[string, object, (ref: TensorRef) => Quantised]>([
    ['fp8 in squares', { quant_method: 'fp8' }, ({ shape }) => asFp8(shape, [32, 32], 'weight_scale_inv')],
    [
      'fp8 by row',
      compressed({ num_bits: 8, type: 'float' }),
      ({ shape }) => asFp8(shape, [1, shape[1]], 'weight_scale'),
    ],
    [
      'fp8 as a whole',
      compressed({ num_bits: 8, type: 'float' }),
      ({ shape }) => asFp8(shape, [shape[0], shape[1]], 'weight_scale'),
    ],
    ['four bits', compressed({ num_bits: 4, type: 'int' }), ({ shape }) => asInt4(shape, 16)],
  ])('%s mean what the numbers times their scales are', async (name, quantisation, quantise) => {
    const { directories } = await writePair(name.replaceAll(' ', '-'), quantisation, quantise);
    const [actual, expected] = await Promise.all(directories.map((directory) => openCheckpoint(directory)));
    expect(actual.bytes).toBeLessThan(expected.bytes);
    for (const [tensor, ref] of actual.tensors)
      expect(await readTensor(ref), tensor).toEqual(await readTensor(expected.tensors.get(tensor)!));
  });

  it('are refused without their scales, and with scales that do not fit', async () => {
    const { directories, stored } = await writePair('broken', { quant_method: 'fp8' }, ({ shape }) =>
      asFp8(shape, [32, 32], 'weight_scale_inv'),
    );
    const path = join(directories[0], 'model.safetensors');
    const name = 'model.layers.0.self_attn.q_proj.weight_scale_inv';
    const { [name]: scales, ...others } = stored;
    writeSafetensors(path, others);
    await expect(openCheckpoint(directories[0])).rejects.toThrow(`without its scales ("${name}")`);
    writeSafetensors(path, { ...stored, [name]: { ...scales, shape: [scales.bytes.length / 2] } });
    await expect(openCheckpoint(directories[0])).rejects.toThrow(`invalid scales "${name}": BF16 [`);
  });

  it.each<[string, object]>([
    ['GPTQ', { quant_method: 'gptq', bits: 4 }],
    ['weights of eight bits', compressed({ num_bits: 8, type: 'int' })],
    ['an offset of their own', compressed({ num_bits: 4, type: 'int', symmetric: false })],
    ['an order of their own', compressed({ num_bits: 4, type: 'int', actorder: 'group' })],
    ['FP8 E5M2', { quant_method: 'fp8', fmt: 'e5m2' }],
  ])('of another kind are refused: %s', async (_, quantisation) => {
    const directory = writeDirectory(root, 'other', {
      'config.json': { ...config, quantization_config: quantisation },
    });
    await expect(openCheckpoint(directory)).rejects.toThrow('unsupported quantization_config');
  });
});
