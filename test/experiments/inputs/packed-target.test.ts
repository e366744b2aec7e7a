/** A packed target is made once, made again when its source has changed, and never of what cannot be packed. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '@specoffload/engine';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { assertRunFormat, preparePackedTarget } from '../../../experiments/src/inputs/packed-target.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { writeTinyModel } from '../../engine/tiny.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-pack-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const config = {
  ...{ architecture: 'mistral', vocabSize: 48, hiddenSize: 64, numLayers: 2, ffnSize: 128 },
  ...{ numHeads: 4, numKvHeads: 2, headDim: 16, numExperts: 1, expertsPerToken: 1 },
  ...{ slidingWindow: null, ropeTheta: 1e4, ropeScaling: null, rmsNormEps: 1e-5 },
  ...{ tieEmbeddings: false, maxPositions: 64, eosTokenIds: [1] },
} as const;

const cache = () => join(folder, 'cache');

async function pack(directory: string) {
  const notes: string[] = [];
  const stream = { write: (text: string) => notes.push(text) };
  const source = await openCheckpoint(directory);
  const { signal } = new AbortController();
  const packed = await preparePackedTarget(source, createOutput(stream, stream, false), signal, cache());
  return { source, packed, hasPacked: notes.join('').includes('once') };
}

it('packs once, under the name of the source, and again when that has other weights', async () => {
  const { directory } = await writeTinyModel(folder, 'mine', config, { dtype: 'bf16', seed: 1 });
  const first = await pack(directory);
  expect(first.hasPacked).toBe(true);
  expect(first.packed).toMatchObject({ name: 'mine', packedFrom: first.source.digest });
  expect(first.packed.bytes / first.source.bytes).toBeLessThan(0.8);
  expect(await pack(directory)).toMatchObject({ hasPacked: false, packed: { digest: first.packed.digest } });
  await rm(directory, { recursive: true });
  await writeTinyModel(folder, 'mine', config, { dtype: 'bf16', seed: 2 });
  const other = await pack(directory);
  expect([other.hasPacked, other.packed.packedFrom]).toEqual([true, other.source.digest]);
  expect(other.source.digest).not.toBe(first.source.digest);
});

it('packs what lies in the cache beside it, in place of what an earlier version packed without saying of what', async () => {
  const { directory } = await writeTinyModel(cache(), 'target-5MB', config, { dtype: 'bf16', seed: 1 });
  const { packed } = await pack(directory);
  expect((await readdir(cache())).sort()).toEqual(['target-5MB', 'target-packed-5MB']);
  const path = join(packed.directory, 'config.json');
  const { quantization_config, ...others } = JSON.parse(await readFile(path, 'utf8'));
  const { packed_from: from, ...earlier } = quantization_config;
  expect(from).toBe(packed.packedFrom);
  await writeFile(path, JSON.stringify({ ...others, quantization_config: earlier }));
  expect(await pack(directory)).toMatchObject({ hasPacked: true, packed: { packedFrom: from } });
});

it('leaves what is packed as it is', async () => {
  const { directory } = await writeTinyModel(folder, 'mine', config, { dtype: 'bf16', seed: 1 });
  const { packed } = await pack(directory);
  expect(await pack(packed.directory)).toMatchObject({ hasPacked: false, packed: { digest: packed.digest } });
});

it('says why nothing can be packed, and leaves nothing', async () => {
  const { directory } = await writeTinyModel(folder, 'wide', config, { dtype: 'f32', seed: 1 });
  await expect(pack(directory)).rejects.toThrow(
    /nothing of .*wide can be packed: its weights are f32; expected/,
  );
  expect(await readdir(cache()).catch(() => [])).toEqual([]);
});

it('refuses formats that round', () => {
  expect(() => assertRunFormat('--target-format', 'q8_0')).toThrow(
    '--target-format: q8_0 can be predicted only, by simulate and plan; expected bf16_packed',
  );
});
