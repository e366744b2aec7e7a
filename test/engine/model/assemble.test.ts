import { join } from 'node:path';
import { openCheckpoint, readTensor, type TensorRef } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { writeDirectory } from './fixtures.js';
import {
  asFp8,
  asInt4,
  compressed,
  config,
  type Quantised,
  root,
  writePair,
  writeSafetensors,
} from './quantised.js';

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
