/**
 * Every strategy on devices with memory of their own: one that nobody else can read and that answers late and in any
 * order, so that whoever touches device memory, counts on zeros there, or does not wait for an answer writes other tokens
 * here than elsewhere; and a GPU, which keeps weights as stored.
 */

import {
  type Checkpoint,
  openCheckpoint,
  type PolicyInput,
  type RunRequest,
  runEngine,
  runLogits,
  type StrategyName,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from './device-bench.js';
import { goldenDirectory, maxDifference, readGolden } from './model/golden.js';
import { validationMessages } from './vulkan.js';

/** Of the golden ones: without a draft as many as bring a new block of four to every cache, with one some rounds. */
const tokensOf = (draft: unknown) => (draft === null ? 5 : 8);
const golden = readGolden('mixtral').prompts;
const prompts = golden.map(({ ids }) => ids);
const streamed: PolicyInput = { pinnedLayers: 0, keptLayers: 0 };
const following: PolicyInput = { experts: 'routed', expertPrefetch: 'router' };
let target: Checkpoint;
let dense: Checkpoint;

beforeAll(async () => {
  target = await openCheckpoint(goldenDirectory('mixtral'));
  dense = await openCheckpoint(goldenDirectory('mistral-full'));
});

function request(changes: Partial<RunRequest> = {}): RunRequest {
  return {
    ...{ target, draft: null, prompts, strategy: 'none', maxNewTokens: tokensOf(changes.draft ?? null) },
    ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, device: { kind: 'isolated' }, policy: streamed },
    ...changes,
  };
}

const ownMemory = devices.filter(({ choice }) => choice.kind !== 'cpu');

describe.each(ownMemory)('on $title', ({ choice, skipped }) => {
  if (skipped !== null) return it.skip('continues as transformers does');

  afterAll(() => expect(validationMessages()).toEqual([]));

  it.each<[StrategyName, 'dense' | 'target' | null, PolicyInput]>([
    ['none', null, streamed],
    ['none', null, { ...streamed, attention: 'device', prefillAttention: 'host', microBatch: 2 }],
    ['none', null, { ...streamed, prefetchDepth: 0, attentionWeights: 'resident', prefillBatch: 1 }],
    ['serial', 'dense', { ...streamed, candidates: 2 }],
    ['serial', 'target', { ...streamed, candidates: 4, draftCache: 'recompute' }],
    ['specoffload', 'dense', { ...streamed, candidates: 4 }],
    ['specoffload', 'target', { pinnedLayers: 1, keptLayers: 1, candidates: 4, prefetchDepth: 1 }],
    ['serial', 'dense', { ...streamed, speculation: 'ahead', candidates: 3 }],
    ['ahead', 'dense', { ...streamed, outcomes: 6, candidates: 2, draftBatch: 2 }],
    ['ahead', 'target', { ...streamed, outcomes: 3, candidates: 3, microBatch: 1 }],
    ['serial', 'target', { ...streamed, draftPlacement: 'after-prefill', decodeBatch: 2, candidates: 3 }],
    ['specoffload', 'target', { ...streamed, draftCache: 'window', draftWindow: 7, candidates: 3 }],
    ['specoffload', 'dense', { ...streamed, candidates: 3, joinBatches: 'yes' }],
    ['none', null, { ...streamed, projections: 'host', microBatch: 2 }],
    ['serial', 'dense', { ...streamed, refill: 'yes', decodeBatch: 2, prefillBatch: 1, candidates: 2 }],
    ['apex', 'dense', { ...streamed, speculation: 'serial', microBatch: 2, candidates: 2 }],
    ['hetegen', 'dense', { ...streamed, speculation: 'serial', hostShare: 0.6, candidates: 2 }],
    ['hetegen', null, { ...streamed, balance: 'measured', microBatch: 2 }],
    ['apex', null, { microBatch: 1, overlap: 'by-rule' }],
    ['accelerate', null, {}],
    ['deepspeed', null, { ...streamed, experts: 'routed', microBatch: 2, coalesceExperts: 'yes' }],
    ['flexgen', null, { ...streamed, microBatch: 1, prefetchDepth: 3, prefillBatch: 2 }],
    ['flexgen', 'dense', { ...streamed, speculation: 'serial', candidates: 2 }],
    ['fiddler', null, { ...streamed, hostExpertRows: 2, prefillBatch: 1, coalesceExperts: 'yes' }],
    ['fiddler', null, { pinnedLayers: 1, keptLayers: 1, hostExpertRows: 1000, microBatch: 2 }],
    ['none', null, { ...streamed, ...following, expertCache: 'lfu', cachedOnDevice: 3, cachedOnHost: 4 }],
    ['serial', 'dense', { ...streamed, ...following, candidates: 2, prefetchDepth: 6, hostExpertRows: 1 }],
  ])('%s with draft %s and %o continues as transformers does', async (strategy, draft, policy) => {
    const drafts = { dense, target };
    const seed = JSON.stringify([strategy, policy]).length;
    const result = await runEngine(
      request({
        ...{ strategy, policy, draft: draft && drafts[draft], device: { ...choice, seed } },
      }),
    );
    const expected = golden.map(({ greedy_ids }) => greedy_ids.slice(0, tokensOf(draft)));
    expect(result.sequences.map(({ ids }) => ids)).toEqual(expected);
    expect(result.nearTies).toBe(0);
    // Several submissions may be under way; the device says when it really worked on each.
    for (const lane of ['link', 'device']) {
      const spans = result.spans.filter((span) => span.lane === lane && span.kind !== 'draft');
      for (const [i, { startSeconds, name }] of spans.entries())
        if (i > 0) expect(startSeconds, name).toBeGreaterThanOrEqual(spans[i - 1].endSeconds);
    }
  });

  it('has the logits of transformers', async () => {
    const logits = await runLogits(request({ device: choice }));
    for (const [index, { last_logits }] of golden.entries())
      expect(maxDifference(logits[index], last_logits)).toBeLessThan(1e-4);
  });
});

it.each<[string, StrategyName, boolean, PolicyInput]>([
  ['qwen3-moe', 'fiddler', false, { ...streamed, hostExpertRows: 2 }],
  ['olmoe', 'deepspeed', false, { ...streamed, experts: 'routed', microBatch: 2 }],
  ['gemma3', 'fiddler', false, { ...streamed, hostExpertRows: 1000 }],
  ['gemma3', 'specoffload', true, { ...streamed, candidates: 3 }],
  ['gpt-oss', 'fiddler', false, { ...streamed, hostExpertRows: 3 }],
  ['gpt-oss', 'flexgen', true, { ...streamed, speculation: 'serial', candidates: 2, microBatch: 1 }],
  ['gpt-oss', 'specoffload', true, { ...streamed, projections: 'host', candidates: 3 }],
  ['gpt-oss', 'none', false, { attention: 'device', prefillAttention: 'device', cache: 'device' }],
])('%s: %s, itself as the draft %s, with %o', async (name, strategy, speculates, policy) => {
  const [model, draft] = [
    await openCheckpoint(goldenDirectory(name)),
    await openCheckpoint(goldenDirectory(name)),
  ];
  const cases = readGolden(name).prompts;
  const { sequences } = await runEngine(
    request({
      ...{ target: model, draft: speculates ? draft : null, strategy, policy },
      prompts: cases.map(({ ids }) => ids),
    }),
  );
  expect(sequences.map(({ ids }) => ids)).toEqual(
    cases.map(({ greedy_ids }) => greedy_ids.slice(0, tokensOf(speculates ? draft : null))),
  );
});

it('a kind of device that there is none of is refused, with those that there are', async () => {
  await expect(runEngine(request({ device: { kind: 'abacus' } }))).rejects.toThrow(
    'invalid device: abacus; expected cpu or isolated or vulkan or auto',
  );
});
