import {
  type Checkpoint,
  openCheckpoint,
  type PolicyInput,
  type RunResult,
  runEngine,
  runLogits,
  type StrategyName,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { goldenDirectory, goldenNames, maxDifference, readGolden } from './model/golden.js';

const tolerance = 1e-4;
const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const streamed = { pinnedLayers: 0, keptLayers: 0 };

async function openGolden(name: string) {
  const target = await openCheckpoint(goldenDirectory(name));
  const { prompts } = readGolden(name);
  return {
    target,
    prompts: prompts.map(({ ids }) => ids),
    lastLogits: prompts.map(({ last_logits }) => last_logits),
    greedyIds: prompts.map(({ greedy_ids }) => greedy_ids),
    greedyMargins: prompts.map(({ greedy_margins }) => greedy_margins),
  };
}

/** Runs a golden case and demands what transformers wrote, token for token. */
async function expectGolden(
  name: string,
  strategy: StrategyName,
  draft: Checkpoint | null,
  policy: PolicyInput,
  mostNewTokens = Number.POSITIVE_INFINITY,
): Promise<RunResult> {
  const { target, prompts, greedyIds, greedyMargins } = await openGolden(name);
  const maxNewTokens = Math.min(mostNewTokens, greedyIds[0].length);
  const expected = greedyIds.map((ids) => ids.slice(0, maxNewTokens));
  const result = await runEngine({ target, draft, prompts, strategy, maxNewTokens, machine, policy });
  expect(result.sequences.map(({ ids }) => ids)).toEqual(expected);
  for (const [index, { margins }] of result.sequences.entries())
    expect(maxDifference(margins, greedyMargins[index].slice(0, maxNewTokens))).toBeLessThan(2 * tolerance); // two logits' difference
  expect(result.newTokens).toBe(expected.flat().length);
  expect(result.nearTies, 'margins of the golden cases are at least 2.6e-3').toBe(0);
  expect(result.memory.device.peakBytes).toBeLessThanOrEqual(machine.deviceBytes);
  expect(result.memory.host.peakBytes).toBeLessThanOrEqual(machine.hostBytes);
  return result;
}

describe.each(goldenNames)('%s', (name) => {
  it.each<PolicyInput>([streamed, { prefillOrder: 'batch-major', prefillBatch: 1, keptLayers: 1 }])(
    'has the logits of transformers with %o',
    async (policy) => {
      const { target, prompts, lastLogits } = await openGolden(name);
      const logits = await runLogits({ target, prompts, machine, policy });
      for (const [index, row] of logits.entries())
        expect(maxDifference(row, lastLogits[index]), `prompt ${index}`).toBeLessThan(tolerance);
    },
  );

  it('continues greedily as transformers does, without a draft and with itself as the draft', async () => {
    const alone = await expectGolden(name, 'none', null, streamed);
    expect(alone.acceptance).toBeNull();
    const draft = await openCheckpoint(goldenDirectory(name));
    const { acceptance, passes } = await expectGolden(name, 'specoffload', draft, streamed);
    expect(acceptance?.rate).toBe(1);
    expect(passes).toBeLessThan(alone.passes);
  });
});

describe('mixtral, whatever the policy', () => {
  const hostile = 'mistral-full'; // of the same vocabulary, and of another opinion
  const itself = 'mixtral';

  it.each<[StrategyName, string, PolicyInput]>([
    ['none', hostile, { ...streamed, prefetchDepth: 1, decodeBatch: 1 }],
    ['none', hostile, { pinnedLayers: 1, keptLayers: 1, batches: 2, prefillBatch: 1 }],
    ['none', hostile, {}], // everything that fits stays in memory
    ['serial', hostile, { ...streamed, candidates: 1 }],
    ['serial', hostile, { ...streamed, candidates: 16, draftCache: 'recompute', prefetchDepth: 1 }],
    ['serial', hostile, { candidates: 4, decodeBatch: 3, draftBatch: 1, pinnedLayers: 1, keptLayers: 0 }],
    ['specoffload', hostile, { ...streamed, candidates: 1, draftCache: 'recompute', draftBatch: 1 }],
    ['specoffload', hostile, { ...streamed, candidates: 4, prefillOrder: 'batch-major', prefillBatch: 1 }],
    ['specoffload', hostile, { candidates: 16, pinnedLayers: 0, keptLayers: 2, prefetchDepth: 1 }],
    ['specoffload', hostile, { ...streamed, candidates: 4, decodeBatch: 1 }],
    ['serial', itself, { ...streamed, candidates: 1, prefillBatch: 2 }],
    ['serial', itself, { ...streamed, candidates: 4, draftCache: 'recompute', decodeBatch: 2 }],
    ['serial', itself, { ...streamed, candidates: 16, draftBatch: 3 }],
    ['specoffload', itself, { ...streamed, candidates: 1, prefetchDepth: 1 }],
    ['specoffload', itself, { ...streamed, candidates: 16, batches: 1 }],
    ['specoffload', itself, { candidates: 16, pinnedLayers: 2, keptLayers: 1, draftCache: 'recompute' }],
  ])('%s with draft %s and %o', async (strategy, draftName, policy) => {
    const draft = strategy === 'none' ? null : await openCheckpoint(goldenDirectory(draftName));
    // A policy shows in the first rounds, of full length each; all tokens are compared above.
    const newTokens = policy.candidates === 16 ? 20 : 10;
    const { acceptance, policy: resolved } = await expectGolden(
      ...(['mixtral', strategy, draft, policy, newTokens] as const),
    );
    expect(resolved).toMatchObject(policy);
    if (strategy === 'none') return;
    if (draftName === itself) expect(acceptance?.rate).toBe(1);
    else expect(acceptance?.rate).toBeLessThan(0.1);
    expect(acceptance?.byPosition).toHaveLength(policy.candidates!);
  });
});

it.each<[StrategyName, PolicyInput]>([
  ['fiddler', { hostExpertRows: 2 }],
  ['none', { ...streamed, projections: 'host', microBatch: 2 }],
  ['serial', { ...streamed, experts: 'routed', expertPrefetch: 'router', candidates: 2 }],
  ['hetegen', { hostShare: 0.4 }],
])('passes a shared expert under %s and %o', async (strategy, policy) => {
  const draft = strategy === 'serial' ? await openCheckpoint(goldenDirectory('qwen2-moe')) : null;
  await expectGolden('qwen2-moe', strategy, draft, policy, 10);
});

it('reads several files in one run', async () => {
  const { target } = await openGolden('mixtral-sharded');
  expect(new Set([...target.tensors.values()].map(({ path }) => path)).size).toBe(2);
  const draft = await openCheckpoint(goldenDirectory('mistral-full'));
  const policy: PolicyInput = { candidates: 3, pinnedLayers: 1, keptLayers: 1 };
  await expectGolden('mixtral-sharded', 'serial', draft, policy);
});
