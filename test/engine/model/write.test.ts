import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, type TensorSource, writeCheckpoint } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { createTemporaryDirectory } from './fixtures.js';

const root = createTemporaryDirectory();

function tensor(name: string, ...chunks: number[][]): TensorSource {
  return {
    name,
    dtype: 'bf16',
    shape: [chunks.flat().length / 2],
    async *chunks() {
      for (const chunk of chunks) yield Uint8Array.from(chunk);
    },
  };
}

const sections = [
  [tensor('a', [1, 2], [3, 4])],
  [tensor('b', [5, 6]), tensor('c', [7, 8])],
  [tensor('d', [9, 10])],
];

it('writes one file, its data aligned and without gaps', async () => {
  const target = join(root, 'single');
  await writeCheckpoint({ targetDirectory: target, sections, sidecars: new Map([['note.txt', 'hello']]) });
  expect(readdirSync(target).sort()).toEqual(['model.safetensors', 'note.txt']);
  const { tensors } = await readSafetensors(join(target, 'model.safetensors'));
  expect(tensors.map(({ name, fileOffset }) => [name, fileOffset])).toEqual([
    ['a', 4096],
    ['b', 4100],
    ['c', 4102],
    ['d', 4104],
  ]);
  expect([...readFileSync(join(target, 'model.safetensors')).subarray(4096)]).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
});

it('writes shards with an index, never dividing a section', async () => {
  const target = join(root, 'shards');
  await writeCheckpoint({ targetDirectory: target, sections, sidecars: new Map(), maxShardBytes: 6 });
  const index: unknown = JSON.parse(readFileSync(join(target, 'model.safetensors.index.json'), 'utf8'));
  expect(index).toEqual({
    metadata: { total_size: 10 },
    weight_map: {
      a: 'model-00001-of-00002.safetensors',
      b: 'model-00002-of-00002.safetensors',
      c: 'model-00002-of-00002.safetensors',
      d: 'model-00002-of-00002.safetensors',
    },
  });
  const { tensors } = await readSafetensors(join(target, 'model-00002-of-00002.safetensors'));
  expect(tensors.map(({ name }) => name)).toEqual(['b', 'c', 'd']);
});

it('refuses a tensor that yields other bytes than it promises', async () => {
  const wrong = { ...tensor('a', [1, 2]), shape: [2] };
  const attempt = writeCheckpoint({
    targetDirectory: join(root, 'wrong'),
    sections: [[wrong]],
    sidecars: new Map(),
  });
  await expect(attempt).rejects.toThrow('a yielded 2 bytes; expected 4');
  expect(readdirSync(root)).not.toContain('wrong');
});
