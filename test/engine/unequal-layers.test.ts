/** A model whose layers have keys of different sizes: every place that lays out or counts caches looks at each layer. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Checkpoint,
  loadReferenceWeights,
  type ModelSummary,
  type PolicyInput,
  referenceGreedy,
  runEngine,
  type StrategyName,
} from '@specoffload/engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTinyModel } from './tiny.js';

const common: ModelSummary = {
  ...{ architecture: 'mixtral', vocabSize: 64, hiddenSize: 32, numLayers: 3, numHeads: 4, numKvHeads: 4 },
  ...{ headDim: 8, ffnSize: 48, numExperts: 3, expertsPerToken: 2, slidingWindow: null, ropeTheta: 10_000 },
  ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 128, eosTokenIds: [] },
};

let folder: string;
let model: Checkpoint;
let greedy: readonly (readonly number[])[];
const prompts = [
  [1, 2, 3, 4, 5],
  [9, 8, 7],
  [33, 12, 60, 41, 2, 2, 17],
];

/** The first's, but the middle layer is the second's. */
function withMiddleOf(first: Checkpoint, second: Checkpoint): Checkpoint {
  const middle = <T>(ours: readonly T[], theirs: readonly T[]) => [ours[0]!, theirs[1]!, ours[2]!];
  const tensors = new Map(first.tensors);
  for (const [name, ref] of second.tensors) if (name.includes('layers.1.')) tensors.set(name, ref);
  return {
    ...first,
    tensors,
    spec: { ...first.spec, layers: middle(first.spec.layers, second.spec.layers) },
    layers: middle(first.layers, second.layers),
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-unequal-'));
  const weights = { dtype: 'bf16', seed: 5 } as const;
  const wide = await writeTinyModel(folder, 'wide', common, weights);
  const narrow = await writeTinyModel(folder, 'narrow', { ...common, numKvHeads: 1, headDim: 16 }, weights);
  model = withMiddleOf(wide, narrow);
  const reference = await loadReferenceWeights(model);
  greedy = prompts.map((prompt) => referenceGreedy(reference, prompt, 12).ids);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const onDevice: PolicyInput = { attention: 'device', prefillAttention: 'device', microBatch: 2 };

it.each<readonly [StrategyName, PolicyInput]>([
  ['none', { pinnedLayers: 0, keptLayers: 1 }],
  ['none', { ...onDevice, cache: 'host' }],
  ['none', { ...onDevice, cache: 'device', pinnedLayers: 0 }],
  ['serial', { candidates: 3, draftCache: 'recompute', pinnedLayers: 0, keptLayers: 0 }],
  ['specoffload', { candidates: 2, draftBatch: 1 }],
])('%s writes what the plain pass writes, %o', async (strategy, policy) => {
  for (const kind of ['cpu', 'isolated'] as const) {
    const { sequences, acceptance } = await runEngine({
      ...{
        target: model,
        draft: strategy === 'none' ? null : model,
        prompts,
        strategy,
        policy,
        device: { kind },
      },
      ...{ maxNewTokens: 12, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
    });
    expect(sequences.map(({ ids }) => ids)).toEqual(greedy);
    // With itself as the draft, whatever it proposes is right: its own cache is laid out layer by layer, too.
    expect(acceptance?.rate ?? 1).toBe(1);
  }
});
