/** A checkpoint with random weights, for as long as somebody works with it. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  describeModel,
  openCheckpoint,
  parseModelSpec,
  writeCheckpoint,
} from '@specoffload/engine';
import { makeTemporaryFolder } from '@specoffload/input';
import { plainCodecs } from '@specoffload/native';

type RandomTensor = Parameters<typeof writeCheckpoint>[0]['sections'][number][number];

/** Numbers that all tensors are cut out of, each at places of its own. */
const poolSize = 2 ** 20;
const mostAtOnce = 2 ** 16;

export async function makeRandomModel(
  config: Readonly<Record<string, unknown>>,
  use: (model: Checkpoint) => Promise<void>,
): Promise<void> {
  const folder = await makeTemporaryFolder('random');
  try {
    const targetDirectory = join(folder, 'random');
    const spec = parseModelSpec(config, 'a made model');
    const { tensors } = describeModel({ name: 'random', spec, unit: 'expert' });
    const random = createRandom(1, 'weights');
    const pool = Float32Array.from({ length: poolSize }, () => random.normal());
    const pools = new Map<number, Uint8Array>();
    const poolOf = (size: number) => {
      const known = pools.get(size) ?? plainCodecs.bf16.encode(pool.map((value) => size * value));
      pools.set(size, known);
      return known;
    };
    const sections = [[...tensors.values()].map(({ name, shape }) => randomTensor(name, shape, poolOf))];
    const sidecars = new Map([['config.json', JSON.stringify(config)]]);
    await writeCheckpoint({ targetDirectory, sections, sidecars });
    await use(await openCheckpoint(targetDirectory));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Norms of ones; matrices that keep the size of what they are multiplied with; embeddings of size 1. */
function randomTensor(
  name: string,
  shape: readonly number[],
  poolOf: (size: number) => Uint8Array,
): RandomTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const isEmbedding = name.includes('embed');
  return {
    ...{ name, shape, dtype: 'bf16' },
    async *chunks() {
      if (shape.length === 1) {
        yield plainCodecs.bf16.encode(new Float32Array(count).fill(1));
        return;
      }
      const values = poolOf(isEmbedding ? 1 : shape[1] ** -0.5);
      const random = createRandom(1, name);
      for (let done = 0; done < count; done += mostAtOnce) {
        const length = Math.min(mostAtOnce, count - done);
        const from = Math.floor(random.uniform() * (poolSize - length));
        yield values.subarray(2 * from, 2 * (from + length));
      }
    },
  };
}
