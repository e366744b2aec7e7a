import { join } from 'node:path';
import {
  type Checkpoint,
  inflateCheckpoint,
  loadReferenceWeights,
  openCheckpoint,
  readTensor,
  referenceGreedy,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { choicesAlong } from '../oracle.js';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';
import { goldenDirectory } from './golden.js';
import {
  asFp8,
  compressed,
  config,
  quantisedKinds,
  type Raw,
  writePair,
  writeSafetensors,
} from './quantised.js';

const root = createTemporaryDirectory();

const bitsOf = (values: Float32Array) => Buffer.from(values.buffer);

describe('quantised safetensors', () => {
  it.each(Object.entries(quantisedKinds))(
    '%s mean what the numbers times their scales are',
    async (name, { quantisation, quantise }) => {
      const { directories } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
      const [actual, expected] = await Promise.all(directories.map((directory) => openCheckpoint(directory)));
      expect(actual.bytes).toBeLessThan(expected.bytes);
      for (const [tensor, ref] of actual.tensors)
        expect(
          bitsOf(await readTensor(ref)).equals(bitsOf(await readTensor(expected.tensors.get(tensor)!))),
          tensor,
        ).toBe(true);
    },
  );

  it('are refused without their scales, and with scales that do not fit', async () => {
    const { directories, stored } = await writePair(root, 'broken', { quant_method: 'fp8' }, ({ shape }) =>
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

  const [q, gIdx, qzeros] = ['qweight', 'g_idx', 'qzeros'].map(
    (part) => `model.layers.0.self_attn.q_proj.${part}`,
  );
  it.each<[string, (stored: Record<string, Raw>) => object, string]>([
    ['no zero points', () => ({ [qzeros]: undefined }), `${q}" without its zero points ("${qzeros}")`],
    [
      'zero points of another width',
      (stored) => ({
        [qzeros]: { ...stored[qzeros], shape: [stored[qzeros].shape[0] * 8, stored[qzeros].shape[1] / 8] },
      }),
      `invalid zero points "${qzeros}": I32 [32,2]; expected one for every group`,
    ],
    [
      'fewer groups than columns',
      (stored) => ({ [gIdx]: { ...stored[gIdx], shape: [2, 32] } }),
      `invalid groups "${gIdx}": I32 [2,32]; expected I32 [64], one for every column`,
    ],
    [
      'a group that there is not',
      (stored) => ({
        [gIdx]: {
          ...stored[gIdx],
          bytes: Uint8Array.from(stored[gIdx].bytes, (byte, i) => (i === 20 ? 4 : byte)),
        },
      }),
      `invalid group of column 5 in "${gIdx}": 4; expected 0 to 3, one for every scale`,
    ],
  ])('of GPTQ are refused with %s', async (name, change, message) => {
    const { quantisation, quantise } = quantisedKinds.GPTQ;
    const { directories, stored } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
    const changed = Object.entries({ ...stored, ...change(stored) }).filter(([, raw]) => raw);
    writeSafetensors(join(directories[0], 'model.safetensors'), Object.fromEntries(changed));
    await expect(openCheckpoint(directories[0])).rejects.toThrow(message);
  });

  it('are refused with scales that are no fractions', async () => {
    const { quantisation, quantise } = quantisedKinds['four bits'];
    const { directories, stored } = await writePair(root, 'whole-scales', quantisation, quantise);
    const name = 'model.layers.0.mlp.up_proj.weight_scale';
    const scales = { ...stored[name], dtype: 'I16' };
    writeSafetensors(join(directories[0], 'model.safetensors'), { ...stored, [name]: scales });
    await expect(openCheckpoint(directories[0])).rejects.toThrow(`invalid scales "${name}": I16 [96,4]`);
  });

  it('are refused where groups are of another size than is configured', async () => {
    const { quantisation, quantise } = quantisedKinds.AWQ;
    const { directories } = await writePair(
      root,
      'other-size',
      { ...quantisation, group_size: 48 },
      quantise,
    );
    await expect(openCheckpoint(directories[0])).rejects.toThrow('.scales": BF16 [4,');
  });

  it.each<[string, object]>([
    ['GPTQ of three bits', { quant_method: 'gptq', bits: 3 }],
    ['GPTQ as Marlin has it', { quant_method: 'gptq', bits: 4, checkpoint_format: 'marlin' }],
    ['AWQ of vectors', { quant_method: 'awq', bits: 4, version: 'gemv' }],
    ['weights of two bits', compressed({ num_bits: 2, type: 'int' })],
    ['FP4', compressed({ num_bits: 4, type: 'float' })],
    ['FP8 E5M2', { quant_method: 'fp8', fmt: 'e5m2' }],
  ])('of another kind are refused: %s', async (_, quantisation) => {
    const directory = writeDirectory(root, 'other', {
      'config.json': { ...config, quantization_config: quantisation },
    });
    await expect(openCheckpoint(directory)).rejects.toThrow('unsupported quantization_config');
  });
});

/** The greedy continuation of the one checkpoint's own values is the other's too. */
async function assertContinuedAlike(one: Checkpoint, other: Checkpoint): Promise<void> {
  const prompt = [3, 5, 8];
  const { ids } = referenceGreedy(await loadReferenceWeights(one), prompt, 4);
  expect(choicesAlong(await loadReferenceWeights(other), prompt, ids)).toEqual(ids);
}

describe('inflation of a quantised checkpoint', () => {
  it.each(['GPTQ', 'AWQ', 'fp8 in squares', 'gpt-oss-mxfp4'])(
    'copies layers of %s as they are stored, and adds some that add nothing',
    async (name) => {
      const kind = quantisedKinds[name];
      const directory = kind
        ? (await writePair(root, 'small', kind.quantisation, kind.quantise)).directories[0]
        : goldenDirectory(name);
      const source = await openCheckpoint(directory);
      const layers = source.layers.length + 2;
      const targetDirectory = join(root, `inflated-${name.replaceAll(' ', '-')}`);
      const inflated = await inflateCheckpoint({ source, targetDirectory, layers, seed: 1 });
      expect(inflated.layers.length).toBe(layers);
      const layerBytes = source.layers[1].attention.storedBytes;
      expect(inflated.layers.map(({ attention }) => attention.storedBytes)).toEqual(
        Array(layers).fill(layerBytes),
      );
      await assertContinuedAlike(source, inflated);
    },
  );

  it.each([
    ...['fp8 in squares', 'fp8 by row', 'fp8 as a whole', 'four bits with zero points', 'eight bits by row'],
    ...['GPTQ', 'AWQ', 'gpt-oss-mxfp4'],
  ])('divides experts of %s as they are stored', async (name) => {
    const kind = quantisedKinds[name];
    const moe = goldenDirectory('qwen3-moe');
    const folder = `divided ${name}`;
    const directory = kind
      ? (await writePair(root, folder, kind.quantisation, kind.quantise, moe)).directories[0]
      : goldenDirectory(name);
    const source = await openCheckpoint(directory);
    const { numExperts } = source.spec.layers[0].ffn;
    const request = { experts: 2 * numExperts, layers: source.layers.length + 1, seed: 1 };
    const targetDirectory = join(root, `${folder}, divided`);
    const inflated = await inflateCheckpoint({ source, targetDirectory, ...request });
    const [one, part] = [source, inflated].map(({ layers }) => layers[0].experts[0]);
    expect(inflated.layers[0].experts).toHaveLength(2 * numExperts);
    expect(part.storedBytes / one.storedBytes).toBeLessThan(0.65);
    await assertContinuedAlike(source, inflated);
  });

  it('divides no experts where their words or groups would be cut', async () => {
    const { quantisation, quantise } = quantisedKinds['four bits'];
    const moe = goldenDirectory('qwen3-moe');
    const { directories } = await writePair(root, 'indivisible', quantisation, quantise, moe);
    const source = await openCheckpoint(directories[0]);
    const experts = 8 * source.spec.layers[0].ffn.numExperts;
    const targetDirectory = join(root, 'cut');
    await expect(inflateCheckpoint({ source, targetDirectory, experts, seed: 1 })).rejects.toThrow(
      'neurons would cut; expected fewer experts, or none',
    );
  });

  it('grows by as many layers as come nearest to a size, and by nothing else', async () => {
    const { quantisation, quantise } = quantisedKinds['eight bits by row'];
    const { directories } = await writePair(root, 'grown', quantisation, quantise);
    const source = await openCheckpoint(directories[0]);
    const target = { source, targetDirectory: join(root, 'larger'), seed: 1 };
    const { layers, bytes } = await inflateCheckpoint({ ...target, bytes: 3 * source.bytes });
    expect(layers.length).toBeGreaterThan(source.layers.length);
    expect(Math.abs(bytes / source.bytes - 3)).toBeLessThan(0.2);
    await expect(inflateCheckpoint({ ...target, ffnSize: 256 })).rejects.toThrow(
      'invalid ffnSize: 256; expected 96, as the source has, whose layers are copied as they are stored',
    );
  });
});
