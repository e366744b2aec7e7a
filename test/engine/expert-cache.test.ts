/** Experts that stay where they were brought, or come before they are chosen: the same tokens, and bytes as predicted. */

import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  describeModel,
  type PolicyInput,
  type RunRequest,
  runEngine,
  simulateRun,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { openMachine } from '../../experiments/src/inputs/machines.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { laptop, mixtral, shrinkMemory } from './plan-cases.js';
import { writeTinyCheckpoint } from './tiny.js';

const numLayers = 3;
const json = {
  ...{ model_type: 'qwen3_moe', vocab_size: 300, hidden_size: 32, num_hidden_layers: numLayers, head_dim: 8 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, moe_intermediate_size: 8, intermediate_size: 16 },
  ...{ num_experts: 24, num_experts_per_tok: 3, norm_topk_prob: true, max_position_embeddings: 64 },
};
const routed: PolicyInput = { experts: 'routed', pinnedLayers: 0, keptLayers: 0, prefetchDepth: 2 };
const maxNewTokens = 7;
let target: Checkpoint;
let expected: readonly (readonly number[])[];

const random = createRandom(7);
const prompts = Array.from({ length: 3 }, () => Array.from({ length: 6 }, () => random.uint32() % 300));

beforeAll(async () => {
  const directory = join(createTemporaryDirectory(), 'models');
  // Its hidden states change little from layer to layer, as those of trained models do.
  target = await writeTinyCheckpoint(directory, 'fine', json, { dtype: 'bf16', seed: 2, addition: 0.1 });
  expected = (await runEngine(request({}))).sequences.map(({ ids }) => ids);
});

function request(policy: PolicyInput, changes: Partial<RunRequest> = {}): RunRequest {
  return {
    ...{ target, draft: null, prompts, strategy: 'none', maxNewTokens },
    ...{ machine: { deviceBytes: 64e6, hostBytes: 64e6 }, policy: { ...routed, ...policy }, ...changes },
  };
}

describe.each(['cpu', 'isolated'])('on %s', (kind) => {
  it.each<[PolicyInput]>([
    [{ expertCache: 'lru', cachedOnDevice: 0, cachedOnHost: 40, prefetchDepth: 0 }],
    [{ expertCache: 'lfu', cachedOnDevice: 13, cachedOnHost: 0, microBatch: 1, attention: 'device' }],
    [{ expertCache: 'lfu', cachedOnDevice: 5, cachedOnHost: 9, hostExpertRows: 1, keptLayers: 1 }],
    [{ expertCache: 'farthest', cachedOnDevice: 20, expertPrefetch: 'router', foreseenLayers: 2 }],
    [{ expertPrefetch: 'router', projections: 'host', microBatch: 2, prefetchDepth: 20 }],
    [{ expertPrefetch: 'router', prefetchDepth: 0 }],
    [{ expertPrefetch: 'router', hostExpertRows: 1, keptLayers: 1, microBatch: 2 }],
  ])('with %o', async (policy) => {
    const { sequences, experts } = await runEngine(request(policy, { device: { kind, seed: 3 } }));
    expect(sequences.map(({ ids }) => ids)).toEqual(expected);
    const { ahead, hits } = experts!;
    if (policy.expertCache) expect(hits.device! + hits.host!).toBeGreaterThan(0);
    if (policy.expertPrefetch) expect(ahead!.right[0]! / ahead!.foreseen[0]!).toBeGreaterThan(0.7);
  });
});

describe('a prompt of so many rows that nearly all experts are chosen', () => {
  const { spec } = mixtral(4);
  const byExpert = describeModel({ name: 'by expert', spec, unit: 'expert' });
  const long = {
    target: byExpert,
    draft: null,
    acceptance: null,
    strategy: 'none',
    maxNewTokens: 1,
  } as const;
  const predict = async (policy: PolicyInput) =>
    simulateRun({
      ...{ ...long, promptLengths: new Array<number>(16).fill(256), machine: await openMachine('env1') },
      policy: { experts: 'routed', prefillAttention: 'host', pinnedLayers: 0, prefetchDepth: 8, ...policy },
    });

  it('has the next layer brought before its router is asked', async () => {
    const [without, ahead] = [await predict({}), await predict({ expertPrefetch: 'router' })];
    const uploads = ({ spans }: typeof ahead) =>
      spans.filter(({ kind, name }) => kind === 'upload' && name.includes('expert')).length;
    expect(uploads(ahead)).toBe(uploads(without));
    expect(ahead.phases.prefill.seconds).toBeLessThan(0.99 * without.phases.prefill.seconds);
  });
});

describe('one sequence behind a slow disk', () => {
  const { spec } = mixtral(8);
  const byExpert = describeModel({ name: 'by expert', spec, unit: 'expert' });
  const predict = async (policy: PolicyInput) =>
    simulateRun({
      ...{ target: byExpert, draft: null, acceptance: null, strategy: 'none', maxNewTokens: 24 },
      ...{ promptLengths: [40, 40], machine: shrinkMemory(laptop, 1 / 2) },
      policy: { ...routed, cachedOnHost: 0, cachedOnDevice: 20, prefillAttention: 'device', ...policy },
    });

  it('gains most by keeping the experts whose turn comes soon and often', async () => {
    const hits = async (expertCache: 'lru' | 'lfu' | 'farthest') =>
      (await predict({ expertCache })).experts!.hits.device!;
    const [lru, lfu, farthest] = [await hits('lru'), await hits('lfu'), await hits('farthest')];
    expect(farthest).toBeGreaterThan(1.3 * Math.max(lru, lfu));
  });

  it('has the host compute beside the device with what lies in its memory', async () => {
    const cache = { expertCache: 'farthest', expertPrefetch: 'router', cachedOnHost: 30 } as const;
    const [device, host] = [await predict(cache), await predict({ ...cache, hostExpertRows: 1 })];
    const onHost = host.spans.filter(({ kind, lane }) => kind === 'expert' && lane === 'host');
    expect(onHost.length).toBeGreaterThan(0);
    expect(host.bytesMoved.link).toBeLessThan(device.bytesMoved.link!);
  });
});

// Who is used later must not keep the place that an earlier one waits for.
it.each([0, 1, 2, 3])(
  'comes to its end with few places for experts that come ahead: %i',
  async (prefetchDepth) => {
    const target = describeModel({ name: 'by expert', spec: mixtral(8).spec, unit: 'expert' });
    for (const numPrompts of [1, 3, 8])
      for (const foreseenLayers of [1, 2]) {
        const { passes } = await simulateRun({
          ...{ target, draft: null, acceptance: null, strategy: 'none', maxNewTokens: 12 },
          ...{ promptLengths: new Array(numPrompts).fill(40), machine: shrinkMemory(laptop, 3 / 4) },
          policy: { experts: 'routed', expertPrefetch: 'router', foreseenLayers, prefetchDepth },
        });
        expect(passes).toBe(12);
      }
  },
);

it('what stays need not be moved', async () => {
  const all = await runEngine(request({ expertCache: 'lru' }));
  // Every expert that ever came stays, so none comes twice.
  const uploads = all.spans.filter(({ kind, name }) => kind === 'upload' && name.includes('expert'));
  expect(new Set(uploads.map(({ name }) => name)).size).toBe(uploads.length);
  const without = await runEngine(request({}));
  const { chosen, hits, savedBytes } = all.experts!;
  expect(chosen).toBeGreaterThan(hits.device!);
  expect(without.bytesMoved.link - all.bytesMoved.link).toBeGreaterThanOrEqual(savedBytes.link!);
  const { storedBytes } = target.layers[0]!.experts[0]!;
  expect(savedBytes.link).toBe(hits.device! * storedBytes);
});

describe('a prediction by the routing of a run', () => {
  it.each<[PolicyInput]>([
    [{ expertCache: 'lru', cachedOnDevice: 30, cachedOnHost: 20, prefetchDepth: 0 }],
    [{ expertCache: 'lfu', cachedOnDevice: 22, expertPrefetch: 'router', foreseenLayers: 2 }],
  ])('moves as much: %o', async (policy) => {
    const measured = await runEngine(request(policy));
    const predicted = await simulateRun({
      ...{ target, draft: null, strategy: 'none', policy: { ...routed, ...policy }, maxNewTokens },
      ...{ promptLengths: prompts.map(({ length }) => length), machine: await openMachine('env1') },
      ...{ acceptance: null, routing: measured.routing },
    });
    if (policy.expertPrefetch) {
      // A load that has begun when the router has chosen otherwise is not taken back: which have, depends on timing.
      for (const lane of ['disk', 'link'] as const)
        expect(predicted.bytesMoved[lane] / measured.bytesMoved[lane]).toBeCloseTo(1, 1);
      expect(predicted.experts!.chosen).toBe(measured.experts!.chosen);
      return;
    }
    expect(predicted.bytesMoved).toEqual(measured.bytesMoved);
    expect(predicted.experts).toEqual(measured.experts);
  });
});
