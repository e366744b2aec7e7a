import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  catalogSpec,
  describeModel,
  isConfigurationAlone,
  openCheckpoint,
  openConfiguration,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory } from './golden.js';

let root: string;
let folder: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'specoffload-configuration-'));
  folder = join(root, 'mine');
  mkdirSync(folder);
  cpSync(join(goldenDirectory('mixtral'), 'config.json'), join(folder, 'config.json'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a model by its configuration alone', () => {
  it('has the sizes that its weights have', async () => {
    const [described, opened] = [
      await openConfiguration(folder, 'expert'),
      await openCheckpoint(goldenDirectory('mixtral')),
    ];
    expect(described).toMatchObject({ name: 'mine', directory: folder, spec: opened.spec });
    expect([described.parameters, described.bytes]).toEqual([opened.parameters, opened.bytes]);
    expect([...described.tensors.keys()].sort()).toEqual([...opened.tensors.keys()].sort());
  });

  it('is told from one with weights, and from a folder without either', async () => {
    const broken = join(root, 'broken');
    mkdirSync(broken);
    cpSync(join(folder, 'config.json'), join(broken, 'config.json'));
    writeFileSync(join(broken, 'model-00001-of-00002.safetensors'), '');
    const cases = [
      folder,
      join(folder, 'config.json'),
      goldenDirectory('mixtral'),
      broken,
      root,
      join(root, 'no'),
    ];
    expect(await Promise.all(cases.map(isConfigurationAlone))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  const weights = { num_bits: 4, group_size: 128 };
  it.each<[object, string]>([
    [{ quant_method: 'gptq', bits: 4, group_size: 128 }, 'int4_awq'],
    [{ quant_method: 'gptq', bits: 8, group_size: -1 }, 'int8'],
    [{ quant_method: 'awq', bits: 4, group_size: 128 }, 'int4_awq'],
    [{ quant_method: 'fp8' }, 'fp8'],
    [{ quant_method: 'compressed-tensors', config_groups: { one: { weights } } }, 'int4'],
  ])('is stored as %o says', async (quantization_config, dtype) => {
    const path = join(root, `${dtype}.json`);
    const config = JSON.parse(readFileSync(join(goldenDirectory('llama-llama3'), 'config.json'), 'utf8'));
    writeFileSync(path, JSON.stringify({ ...config, quantization_config }));
    const { layers, format } = await openConfiguration(path);
    const { tensors } = layers[0].experts[0];
    expect([tensors.find(({ role }) => role === 'down')?.ref.dtype, format]).toEqual([dtype, undefined]);
    const other = await openConfiguration(path, 'ffn', 'q8_0');
    expect([other.layers[0].experts[0].tensors[0].ref.dtype, other.format]).toEqual(['q8_0', 'q8_0']);
  });

  it('is named after its folder, or after its file where that says more; the digest is that of the configuration', async () => {
    cpSync(join(folder, 'config.json'), join(root, 'tiny.json'));
    const models = await Promise.all(
      [folder, join(folder, 'config.json'), join(root, 'tiny.json')].map((path) => openConfiguration(path)),
    );
    expect(models.map(({ name }) => name)).toEqual(['mine', 'mine', 'tiny']);
    expect(new Set(models.map(({ digest }) => digest)).size).toBe(1);
    expect(models[0].digest).toBe(describeModel({ name: 'other', spec: models[0].spec }).digest);
    expect(models[0].digest).not.toBe(
      describeModel({ name: 'mine', spec: catalogSpec('mixtral-8x7b') }).digest,
    );
  });

  it('takes as many bytes as its weights were saved with', async () => {
    const sizes = await Promise.all(
      [{ torch_dtype: 'float32' }, { dtype: 'float16', torch_dtype: 'float32' }, { torch_dtype: 'auto' }].map(
        async (saved, index) => {
          const path = join(root, `saved-${index}.json`);
          const { torch_dtype, dtype, ...config } = JSON.parse(
            readFileSync(join(folder, 'config.json'), 'utf8'),
          );
          writeFileSync(path, JSON.stringify({ ...config, ...saved }));
          const { bytes, parameters, layers } = await openConfiguration(path);
          return [bytes / parameters, layers[0].attention.tensors[0].ref.dtype];
        },
      ),
    );
    expect(sizes).toEqual([
      [4, 'f32'],
      [2, 'f16'],
      [2, 'bf16'],
    ]);
  });

  it('ends where generation_config.json says', async () => {
    const other = join(root, 'ends');
    mkdirSync(other);
    cpSync(join(folder, 'config.json'), join(other, 'config.json'));
    writeFileSync(join(other, 'generation_config.json'), '{"eos_token_id": [7, 9]}');
    expect((await openConfiguration(join(other, 'config.json'))).spec.eosTokenIds).toEqual([7, 9]);
  });

  it('refuses what is no configuration, and one that is not there', async () => {
    writeFileSync(join(root, 'list.json'), '[]');
    await expect(openConfiguration(join(root, 'list.json'))).rejects.toThrow(
      'list.json: invalid content: []; expected an object',
    );
    await expect(openConfiguration(join(root, 'no'))).rejects.toThrow(
      `there is no ${join(root, 'no', 'config.json')}`,
    );
  });
});
