/** The planner against exhaustive search, its limits and its refusals. */

import {
  type AllowedValues,
  analyseSensitivity,
  climbLadder,
  type MachineModel,
  type PlanRequest,
  type Policy,
  type PolicyInput,
  planRun,
  predict,
  UserError,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { laptop, mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const gpu = shrinkMemory(workstation, 1 / 2);
const small = shrinkMemory({ ...laptop, memory: { ...laptop.memory, deviceBytes: 24e9 } }, 1 / 2);
const fastLink: MachineModel = {
  ...gpu,
  name: 'fast link',
  link: { ...gpu.link, bytesPerSecond: 50e9, cacheBytesPerSecond: 40e9 },
};

const job: PlanRequest = {
  ...{ target: mixtral(4), draft: mistral(4), machine: gpu, acceptance: rates(0.7), maxNewTokens: 16 },
  promptLengths: new Array<number>(64).fill(128),
};

const ways = [
  ['none', 'none', 1],
  ['serial', 'serial', 1],
  ['serial', 'ahead', 1],
  ['specoffload', 'interleaved', 2],
] as const;

/** What the exhaustive search tries beside batch sizes, all combinations; the planner is held to the same values. */
const axes = {
  candidates: [1, 4, 8],
  draftCache: ['recompute', 'window', 'resident'],
  attention: ['host', 'device'],
} as const;
const held: PolicyInput = {
  ...{ prefillAttention: 'device', prefillBatch: 16, draftBatch: 32, draftWindow: 64, cache: 'host' },
  ...{ projections: 'device', prefillOrder: 'layer-major', draftPlacement: 'after-prefill' },
  ...{ attentionWeights: 'streamed', refill: 'no', hostShare: 0, prefetchDepth: 1 },
};

/** All prompts at once or in four waves; a batch at once or in four micro-batches. */
function batchSizes(numPrompts: number, batches: number): PolicyInput[] {
  const perBatch = Math.ceil(numPrompts / batches);
  return [perBatch, Math.ceil(perBatch / 4)].flatMap((decodeBatch) =>
    [...new Set([decodeBatch, Math.ceil(perBatch / 4)])].map((microBatch) => ({ decodeBatch, microBatch })),
  );
}

async function exhaust(request: PlanRequest): Promise<number> {
  let best = 0;
  for (const [strategy, speculation, batches] of ways) {
    let policies = batchSizes(request.promptLengths.length, batches);
    for (const [field, values] of Object.entries(axes)) {
      if (speculation === 'none' && field !== 'attention') continue;
      policies = policies.flatMap((policy) => values.map((value) => ({ ...policy, [field]: value })));
    }
    for (const policy of policies)
      try {
        const asked = { ...held, ...policy, speculation, batches };
        best = Math.max(best, (await predict(request, { strategy, policy: asked })).outcome.tokensPerSecond);
      } catch (error) {
        if (!(error instanceof UserError)) throw error; // does not fit
      }
  }
  return best;
}

/** The same values for the planner. */
function allowedIn({ promptLengths }: PlanRequest): AllowedValues {
  const sizes = ways.flatMap(([, , batches]) => batchSizes(promptLengths.length, batches));
  return {
    ...axes,
    decodeBatch: sizes.map(({ decodeBatch }) => decodeBatch as number),
    microBatch: sizes.map(({ microBatch }) => microBatch as number),
  };
}

describe('regret', () => {
  it.each<[string, Partial<PlanRequest>]>([
    ['a slow link', {}],
    ['a slow link and a poor draft', { acceptance: rates(0.3) }],
    ['a fast link', { machine: fastLink }],
    ['little memory', { machine: small }],
    ['long prompts', { promptLengths: new Array<number>(32).fill(600) }],
    ['unequal prompts', { promptLengths: Array.from({ length: 48 }, (_, i) => 40 + 9 * i) }],
    ['a bigger draft', { draft: mistral(12) }],
    ['one new token after the first', { maxNewTokens: 2 }],
  ])('with %s is at most 3 % of the best of the whole grid', async (_what, changes) => {
    const request = { ...job, ...changes };
    const best = await exhaust(request);
    const plan = await planRun({ ...request, fixed: held, allowed: allowedIn(request) });
    expect(plan.ranked[0]!.outcome.tokensPerSecond / best).toBeGreaterThanOrEqual(0.97);
    expect(plan.numSimulated).toBeLessThanOrEqual(30);
  });
});

describe('a plan', () => {
  it('is the same each time', async () => {
    const [first, second] = [await planRun(job), await planRun(job)];
    expect(second).toEqual(first);
  });

  it('keeps to the budgets, ranks by throughput, and knows no more than its lanes can do', async () => {
    const { ranked, bestByWay, numSimulated } = await planRun({ ...job, machine: small });
    expect(ranked).toHaveLength(numSimulated);
    for (const [index, { outcome, binding }] of ranked.entries()) {
      expect(outcome.memoryBytes.device).toBeLessThanOrEqual(small.memory.deviceBytes);
      expect(outcome.memoryBytes.host).toBeLessThanOrEqual(small.memory.hostBytes);
      expect(outcome.tokensPerSecond).toBeLessThanOrEqual(
        ranked[Math.max(0, index - 1)]!.outcome.tokensPerSecond,
      );
      expect(binding.boundTokensPerSecond).toBeGreaterThanOrEqual(outcome.tokensPerSecond * (1 - 1e-9));
    }
    expect(bestByWay[0]).toBe(ranked[0]);
    expect(new Set(bestByWay.map(({ policy }) => policy.speculation)).size).toBe(bestByWay.length);
  });

  it('leaves alone what the caller has settled, and what the machine cannot do', async () => {
    const fixed = { candidates: 3, draftCache: 'recompute', decodeBatch: 20 } as const;
    const allowed = { attention: ['host'], hostShare: [0], speculation: ['serial'] } as const;
    const { ranked } = await planRun({ ...job, fixed, allowed });
    for (const { policy } of ranked)
      expect(policy).toMatchObject({ ...fixed, attention: 'host', hostShare: 0, speculation: 'serial' });
  });

  it('does without a draft', async () => {
    const { ranked } = await planRun({ ...job, draft: null, acceptance: null });
    expect(new Set(ranked.map(({ strategy }) => strategy))).toEqual(new Set(['none']));
  });

  it('simulates no more than it may', async () => {
    expect((await planRun({ ...job, mostSimulations: 3 })).numSimulated).toBe(3);
  });

  it.each<[string, Partial<PlanRequest>, RegExp]>([
    [
      'too little device memory',
      { machine: { ...gpu, memory: { ...gpu.memory, deviceBytes: 1e9 } } },
      /^the device memory budget of 953\.7 MiB is too small: this run needs \d.*raise it to at least \d+ MiB/,
    ],
    [
      'too little host memory',
      { machine: { ...gpu, memory: { ...gpu.memory, hostBytes: 1e9 } } },
      /^the host memory budget of 953\.7 MiB is too small/,
    ],
    ['no acceptance', { acceptance: null }, /needs an acceptance/],
    ['no new tokens', { maxNewTokens: 0 }, /invalid number of new tokens: 0/],
    ['a prompt too long', { promptLengths: [40_000] }, /has 40000 tokens .* context of mixtral-4 is 32768/],
    ['nothing left to choose', { strategies: ['serial'], draft: null }, /there is nothing to plan/],
  ])('is refused in one sentence: %s', async (_what, changes, message) => {
    await expect(planRun({ ...job, ...changes })).rejects.toThrow(message);
    await expect(planRun({ ...job, ...changes })).rejects.toBeInstanceOf(UserError);
  });

  it('stops when its signal aborts', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = () => controller.abort(reason);
    await expect(planRun({ ...job, signal: controller.signal, onProgress })).rejects.toBe(reason);
  });
});

describe('what would help', () => {
  it('is never a loss on a machine that only got better, and most where the lane binds', async () => {
    const plan = await planRun({ ...job, strategies: ['none'] });
    const best = plan.ranked[0]!;
    const found = await analyseSensitivity(job, best);
    expect(found.map(({ gain }) => gain)).toEqual([...found.map(({ gain }) => gain)].sort((a, b) => b - a));
    for (const { gain, change } of found) expect(gain, change).toBeGreaterThan(0.99);
    expect(best.binding.lane).toBe('link');
    const link = found.find(({ change }) => change.startsWith('link'))!;
    const device = found.find(({ change }) => change === 'device x1.5')!;
    expect(link.gain).toBeGreaterThan(device.gain);
  });
});

describe('the ladder', () => {
  const published: PolicyInput = {
    ...{ batches: 2, decodeBatch: 32, prefillBatch: 10, draftBatch: 10, candidates: 6 },
    ...{ draftCache: 'recompute', projections: 'host', prefillAttention: 'device', ending: 'slowest' },
    ...{ prefillOrder: 'batch-major', draftPlacement: 'after-prefill', prefetchDepth: 0, pageLocked: 0.5 },
    pinnedLayers: 0,
  };

  it('names every option that the best policy takes, and what all do together', async () => {
    const { ranked } = await planRun(job);
    const best = ranked[0]!;
    const ladder = await climbLadder(job, best, published);
    expect(ladder.published.policy).toMatchObject(published);
    expect(ladder.publishedAsCounted).toBeGreaterThan(ladder.published.tokensPerSecond);
    expect(ladder.together).toBeCloseTo(best.outcome.tokensPerSecond / ladder.published.tokensPerSecond, 10);
    expect(ladder.together).toBeGreaterThan(1);
    const named = new Set(ladder.steps.flatMap(({ fields }) => Object.keys(fields)));
    for (const field of ['ending', 'pageLocked'] satisfies (keyof Policy)[]) expect(named).toContain(field);
    const limits = ladder.steps.find(({ fields }) => 'ending' in fields)!;
    // Alone it may also draw a longer course: the gain is that of one seed.
    expect(limits.gain).toBeGreaterThan(0.9);
  });
});
