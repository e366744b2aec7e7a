/** Rotations that depend on how long a text is: runs follow the reference on either side of the original length, or refuse. */

import {
  type Checkpoint,
  loadReferenceWeights,
  referenceGreedy,
  runEngine,
  UserError,
} from '@specoffload/engine';
import { expect, it } from 'vitest';
import { writeTinyCheckpoint } from '../tiny.js';
import { createTemporaryDirectory } from './fixtures.js';

const directory = createTemporaryDirectory();
const sizes = {
  ...{ model_type: 'llama', vocab_size: 61, hidden_size: 24, intermediate_size: 40, num_hidden_layers: 2 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8 },
};
const maxNewTokens = 6;
const textOf = (length: number) => Array.from({ length }, (_, i) => (i * i + 3) % 61);
const open = (name: string, json: object) =>
  writeTinyCheckpoint(directory, name, { ...sizes, ...json }, { dtype: 'f32', seed: 5 });

function run(target: Checkpoint, lengths: readonly number[], attention: 'host' | 'device' = 'host') {
  return runEngine({
    ...{ target, draft: null, prompts: lengths.map(textOf), strategy: 'none', maxNewTokens },
    policy: { attention, prefillAttention: attention },
    machine: { deviceBytes: 16e6, hostBytes: 16e6 },
  });
}

const longrope = {
  ...{ rope_type: 'longrope', short_factor: [1, 1.1, 1.3, 2], long_factor: [1.5, 4, 9, 30] },
  original_max_position_embeddings: 16,
};

it.each([
  ['below the original length', [3, 10], 'host'],
  ['above it', [17, 40], 'device'],
] as const)('longrope: texts %s are continued as the reference does', async (_, lengths, attention) => {
  const target = await open(`longrope ${attention}`, { max_position_embeddings: 64, rope_scaling: longrope });
  const weights = await loadReferenceWeights(target);
  const expected = lengths.map((length) => referenceGreedy(weights, textOf(length), maxNewTokens).ids);
  const { sequences } = await run(target, lengths, attention);
  expect(sequences.map(({ ids }) => ids)).toEqual(expected);
});

it('longrope: texts that cross the original length, or lie on both sides of it, are refused', async () => {
  const target = await open('crossing', { max_position_embeddings: 64, rope_scaling: longrope });
  await expect(run(target, [12])).rejects.toThrow(UserError);
  await expect(run(target, [3, 30])).rejects.toThrow(
    'crossing rotates positions differently in texts longer than 16 tokens: prompt 1 begins below that, and prompt 2 with up to 6 new tokens ends above it; run texts',
  );
});

it('dynamic: the original length is the context', async () => {
  const rope_scaling = { rope_type: 'dynamic', factor: 4 };
  const target = await open('dynamic', { max_position_embeddings: 16, rope_scaling });
  const plain = await open('plain', { max_position_embeddings: 16 });
  const results = await Promise.all([target, plain].map((model) => run(model, [10, 4])));
  const [stretched, usual] = results.map(({ sequences }) => sequences.map(({ ids }) => ids));
  expect(stretched).toEqual(usual);
  await expect(run(target, [11])).rejects.toThrow('the context of dynamic is 16 tokens');
});
