import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  inspectCheckpoint,
  openCheckpoint,
  openConfiguration,
  packCheckpoint,
  readTensor,
  unpackCheckpoint,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../tiny.js';
import { createTemporaryDirectory } from './fixtures.js';
import { writeSafetensors } from './quantised.js';

const root = createTemporaryDirectory();
const [bf16, packed] = [join(root, 'bf16'), join(root, 'packed')];
const weights = 'model.safetensors';

function editConfig(directory: string, edit: (text: string) => string): void {
  const path = join(directory, 'config.json');
  writeFileSync(path, edit(readFileSync(path, 'utf8')));
}

/** A copy of the packed checkpoint to break. */
function copyOf(name: string): string {
  const directory = join(root, name);
  cpSync(packed, directory, { recursive: true });
  return directory;
}

// Down projections have rows of 96, and stay.
const config = {
  ...{ architecture: 'mixtral', vocabSize: 48, hiddenSize: 64, numLayers: 2, ffnSize: 96 },
  ...{ numHeads: 4, numKvHeads: 2, headDim: 16, numExperts: 3, expertsPerToken: 2 },
  ...{ slidingWindow: null, ropeTheta: 1e4, ropeScaling: null, rmsNormEps: 1e-5 },
  ...{ tieEmbeddings: false, maxPositions: 64, eosTokenIds: [1] },
};

let source: Checkpoint;
beforeAll(async () => {
  source = await writeTinyModel(root, 'bf16', config, { dtype: 'bf16', seed: 3 });
  editConfig(bf16, (text) => JSON.stringify(JSON.parse(text), null, 2));
  writeFileSync(join(bf16, 'generation_config.json'), '{"eos_token_id": 1}');
});

it('packs what rows of whole blocks hold, and says what stays', async () => {
  const steps = new Set<string>();
  const { target, numPacked, unpacked } = await packCheckpoint({
    ...{ sourceDirectory: bf16, targetDirectory: packed },
    onProgress: ({ bytesDone, bytesTotal }, step) => bytesDone === bytesTotal && steps.add(step),
  });
  expect([...steps]).toEqual(['checked', 'written']);
  expect(target.packedFrom).toBe(source.digest);
  expect(unpacked.length).toBe(6);
  expect(unpacked.every((name) => name.endsWith('.w2.weight'))).toBe(true);
  const kinds = inspectCheckpoint(target).dtypes;
  expect(kinds.bf16_packed!.tensors).toBe(numPacked);
  expect(numPacked).toBe(2 + 2 * (4 + 3 * 2));
  for (const [name, ref] of source.tensors) {
    const [one, other] = [await readTensor(ref), await readTensor(target.tensors.get(name)!)];
    expect(Buffer.from(other.buffer).equals(Buffer.from(one.buffer)), name).toBe(true);
  }
});

it('unpacks to the very files', async () => {
  const targetDirectory = join(root, 'again');
  const { digest } = await unpackCheckpoint({ sourceDirectory: packed, targetDirectory });
  expect(digest).toBe((await openCheckpoint(bf16)).digest);
  expect(readdirSync(targetDirectory).sort()).toEqual(readdirSync(bf16).sort());
  for (const name of readdirSync(bf16))
    expect(readFileSync(join(targetDirectory, name)).equals(readFileSync(join(bf16, name))), name).toBe(true);
});

it('keeps shards as they are', async () => {
  const directory = join(root, 'shards');
  cpSync(bf16, directory, { recursive: true, filter: (path) => !path.endsWith(weights) });
  const file = readFileSync(join(bf16, weights));
  const shards: Record<string, Parameters<typeof writeSafetensors>[1]> = {};
  const shardOf: Record<string, string> = {};
  for (const [i, { name, shape, fileOffset, byteLength }] of [...source.tensors.values()].entries()) {
    shardOf[name] = `model-0000${1 + (i % 2)}-of-00002.safetensors`;
    const bytes = file.subarray(fileOffset, fileOffset + byteLength);
    shards[shardOf[name]] = { ...shards[shardOf[name]], [name]: { dtype: 'BF16', shape, bytes } };
  }
  for (const [shard, tensors] of Object.entries(shards)) writeSafetensors(join(directory, shard), tensors);
  writeFileSync(join(directory, `${weights}.index.json`), JSON.stringify({ weight_map: shardOf }));
  const inPacked = join(root, 'packed-shards');
  const { target } = await packCheckpoint({ sourceDirectory: directory, targetDirectory: inPacked });
  expect(readdirSync(inPacked).sort()).toEqual(readdirSync(directory).sort());
  for (const [name, { path }] of target.tensors) expect(path.endsWith(shardOf[name]!), name).toBe(true);
});

it('is predicted by its configuration alone', async () => {
  const directory = join(root, 'alone');
  cpSync(packed, directory, { recursive: true, filter: (path) => !path.endsWith(weights) });
  expect((await openConfiguration(directory)).embedding.tensors[0]!.ref.dtype).toBe('bf16_packed');
});

describe('refuses', () => {
  it.each<[string, (directory: string) => void, string]>([
    [
      'another version',
      (directory) => editConfig(directory, (text) => text.replace('"version": 1', '"version": 2')),
      'or bf16_packed (version 1)',
    ],
    [
      'rows of no whole blocks',
      (directory) => {
        const path = join(directory, weights);
        const text = readFileSync(path, 'latin1');
        writeFileSync(path, text.replace('"U8","shape":[48,100]', '"U8","shape":[96, 50]'), 'latin1');
      },
      'invalid shape of "model.embed_tokens.weight": [96,50]; expected rows of whole blocks of 100 bytes',
    ],
    [
      'a source that is no digest',
      (directory) => editConfig(directory, (text) => text.replace(source.digest, 'yesterday')),
      'quantization_config',
    ],
    [
      'bytes without a word about packing',
      (directory) => editConfig(directory, (text) => text.replace('quantization_config', 'other_config')),
      'invalid shape of model.embed_tokens.weight: [48,100]; expected [48,64]',
    ],
  ])('%s', async (name, damage, message) => {
    const directory = copyOf(name.replaceAll(' ', '-'));
    damage(directory);
    await expect(openCheckpoint(directory)).rejects.toThrow(message);
  });

  it('to pack what is packed, or holds no bf16; to unpack what is not packed', async () => {
    const targetDirectory = join(root, 'nowhere');
    await writeTinyModel(
      root,
      'fp16',
      { ...config, numExperts: 1, expertsPerToken: 1, architecture: 'mistral' },
      { dtype: 'f16', seed: 3 },
    );
    const pack = (sourceDirectory: string) => packCheckpoint({ sourceDirectory, targetDirectory });
    await expect(pack(packed)).rejects.toThrow('is packed already');
    await expect(pack(join(root, 'fp16'))).rejects.toThrow('its weights are f16; expected matrices in bf16');
    await expect(unpackCheckpoint({ sourceDirectory: bf16, targetDirectory })).rejects.toThrow(
      'is not packed',
    );
    expect(readdirSync(root)).not.toContain('nowhere');
  });

  it('a disk that is too small, and leaves nothing behind', async () => {
    const disk = { freeBytes: async () => 1000, create: () => Promise.reject(new Error('not asked for')) };
    const targetDirectory = join(root, 'full');
    await expect(packCheckpoint({ sourceDirectory: bf16, targetDirectory, disk })).rejects.toThrow(
      'has 1000 bytes free',
    );
    expect(readdirSync(root).filter((name) => name.includes('full'))).toEqual([]);
  });
});
