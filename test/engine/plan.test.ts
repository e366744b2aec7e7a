/** The planner against exhaustive search, its limits and its refusals. */

import {
  type AllowedValues,
  climbLadder,
  limitsOf,
  type MachineModel,
  type Plan,
  type PlannedPolicy,
  type PlanRequest,
  type Policy,
  type PolicyInput,
  planRun,
  predict,
  type Relaxation,
  type RunProgress,
  relaxResources,
  simulateRun,
  UserError,
  withBudgets,
  withLane,
} from '@specoffload/engine';
import { publishSignal } from '@specoffload/input';
import { describe, expect, it } from 'vitest';
import { laptop, mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const gpu = shrinkMemory(workstation, 1 / 2);
const small = shrinkMemory(withBudgets(laptop, { deviceBytes: 24e9 }), 1 / 2);
const fastLink: MachineModel = {
  ...withLane(gpu, 'link', { bytesPerSecond: 50e9, cacheBytesPerSecond: 40e9 }),
  name: 'fast link',
};

const job: PlanRequest = {
  ...{ target: mixtral(4), draft: mistral(4), machine: gpu, acceptance: rates(0.7), maxNewTokens: 16 },
  ...{ promptLengths: new Array<number>(64).fill(128), numSeeds: 5 },
};

/** Rounds that choose their own number of candidates leave no other near; prepared outcomes leave little to accept more of. */
const unadapted = { ...job, fixed: { adaptCandidates: 'no', outcomes: 1 }, numSeeds: 3 } as const;

const plans = new Map<PlanRequest, Promise<Plan>>();

/** The plan of one of these jobs: made once. */
function planOnce(request: PlanRequest): Promise<Plan> {
  const plan = plans.get(request) ?? planRun(request);
  plans.set(request, plan);
  return plan;
}

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

class TooSlow extends Error {}

/**
 * @param least tokens per second: what cannot reach them any more is not simulated to its end
 * @returns of the best of the whole grid; null where nothing reaches them
 */
async function exhaust(request: PlanRequest, least: number): Promise<number | null> {
  const { promptLengths, maxNewTokens } = request;
  const mostSeconds = (promptLengths.length * maxNewTokens) / least;
  const onProgress = ({ elapsedSeconds }: RunProgress) => {
    if (elapsedSeconds > mostSeconds) throw new TooSlow();
  };
  let best: number | null = null;
  for (const [strategy, speculation, batches] of ways) {
    let policies = batchSizes(promptLengths.length, batches);
    for (const [field, values] of Object.entries(axes)) {
      if (speculation === 'none' && field !== 'attention') continue;
      policies = policies.flatMap((policy) => values.map((value) => ({ ...policy, [field]: value })));
    }
    for (const policy of policies)
      try {
        const asked = { ...held, ...policy, speculation, batches };
        const { tokensPerSecond } = await simulateRun({
          ...{ ...request, strategy, policy: asked, draws: 'common', onProgress },
        });
        best = Math.max(best ?? 0, tokensPerSecond);
      } catch (error) {
        // Else it does not fit.
        if (!(error instanceof UserError || error instanceof TooSlow)) throw error;
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
    const request = { ...job, maxNewTokens: 12, ...changes };
    const plan = await planRun({ ...request, fixed: held, allowed: allowedIn(request), numSeeds: 3 });
    const { strategy, input } = plan.ranked[0];
    // On the seed of the search, as the grid: what else it was chosen on is not the grid's.
    const { tokensPerSecond } = (await predict(request, { strategy, policy: input })).outcome;
    const best = await exhaust(request, tokensPerSecond);
    expect(tokensPerSecond / (best ?? tokensPerSecond)).toBeGreaterThanOrEqual(0.97);
    expect(plan.numSimulated).toBeLessThanOrEqual(24);
  });
});

describe('a plan', () => {
  it('is the same each time', async () => {
    expect(await planRun(job)).toEqual(await planOnce(job));
  });

  it('keeps to the budgets, and knows no more than its lanes can do', async () => {
    const { ranked } = await planRun({ ...job, machine: small, numSeeds: 1 });
    for (const { outcome, busiest } of ranked) {
      expect(outcome.memoryBytes.device).toBeLessThanOrEqual(limitsOf(small).deviceBytes);
      expect(outcome.memoryBytes.host).toBeLessThanOrEqual(limitsOf(small).hostBytes);
      expect(busiest.boundTokensPerSecond).toBeGreaterThanOrEqual(outcome.tokensPerSecond * (1 - 1e-9));
    }
  });

  it('decides on seeds that the search has not seen, all of them for the choice, the same for all', async () => {
    const plan = await planRun({ ...job, seed: 7, numSeeds: 6 });
    const { ranked, seeds, searchSeed, numClimbed, numPredictions } = plan;
    expect([searchSeed, seeds]).toEqual([7, [8, 9, 10, 11, 12, 13]]);
    const [choice] = ranked as [PlannedPolicy];
    expect(choice.tokensPerSecondBySeed).toHaveLength(6);
    for (const { tokensPerSecondBySeed, strategy, input } of ranked) {
      const again = await Promise.all(
        tokensPerSecondBySeed.map((_, index) =>
          predict({ ...job, seed: 8 + index }, { strategy, policy: input }),
        ),
      );
      expect(again.map(({ outcome }) => outcome.tokensPerSecond)).toEqual(tokensPerSecondBySeed);
    }
    const inAll = ranked.reduce((sum, { tokensPerSecondBySeed: values }) => sum + values.length, 0);
    expect(numPredictions).toBeLessThanOrEqual(24 + numClimbed + inAll);
  });

  it('chooses what is best in the geometric mean of all seeds, and ranks the others by their ratios to it', async () => {
    const { ranked, bestByWay } = await planOnce(unadapted);
    const means = ranked
      .filter(({ tokensPerSecondBySeed }) => tokensPerSecondBySeed.length === 3)
      .map(({ tokensPerSecondBySeed }) => tokensPerSecondBySeed.reduce((product, rate) => product * rate));
    expect(means.length).toBeGreaterThan(1);
    expect(means[0]).toBeGreaterThanOrEqual(Math.max(...means) * (1 - 1e-12));
    const { tokensPerSecondBySeed: own, outcome } = ranked[0];
    expect(outcome.tokensPerSecond).toBe(median(own));
    const ratios = ranked
      .slice(1)
      .map((other) => median(other.tokensPerSecondBySeed.map((v, i) => v / own[i])));
    expect(ratios).toEqual([...ratios].sort((a, b) => b - a));
    expect(bestByWay[0]).toBe(ranked[0]);
    expect(new Set(bestByWay.map(({ policy }) => policy.speculation)).size).toBe(bestByWay.length);
  });

  it('lists alternatives that differ in kind from it and from each other, and says in what', async () => {
    const { ranked, alternatives } = await planOnce(job);
    expect(alternatives.length).toBeGreaterThanOrEqual(4);
    const kinds = alternatives.map(({ differences }) => differences.map(({ value }) => value).join());
    expect(new Set(kinds).size).toBe(kinds.length);
    for (const { planned, differences } of alternatives) {
      expect(ranked).toContain(planned);
      expect(differences.length).toBeGreaterThan(0);
      for (const { choice, value } of differences) expect(value).not.toBe(choice);
    }
    const aspects = new Set(
      alternatives.flatMap(({ differences }) => differences.map(({ aspect }) => aspect)),
    );
    for (const aspect of ['who proposes, and when', "the draft's cache", 'places of attention and KV cache'])
      expect(aspects).toContain(aspect);
  });

  it('predicts once what no seed changes', async () => {
    const { numSeeds: _, ...usual } = job;
    const without = { ...usual, draft: null, acceptance: null, fixed: { experts: 'all' } } as const;
    const { ranked, numSimulated, numClimbed, numPredictions } = await planRun(without);
    expect(ranked[0].tokensPerSecondBySeed).toEqual(new Array(9).fill(ranked[0].outcome.tokensPerSecond));
    expect(numPredictions).toBe(numSimulated + numClimbed + ranked.length);
  });

  it('tries no more candidates than the acceptance knows of', async () => {
    const { ranked } = await planRun({ ...job, acceptance: rates(0.8, 0.7, 0.6), numSeeds: 1 });
    expect(ranked.some(({ policy }) => policy.speculation !== 'none')).toBe(true);
    for (const { policy } of ranked)
      if (policy.speculation !== 'none') expect(policy.candidates).toBeLessThanOrEqual(3);
  });

  it('leaves alone what the caller has settled, and what the machine cannot do', async () => {
    const fixed = { candidates: 3, draftCache: 'recompute', decodeBatch: 20 } as const;
    const allowed = { attention: ['host'], hostShare: [0], speculation: ['serial'] } as const;
    const { ranked } = await planRun({ ...job, fixed, allowed, numSeeds: 1 });
    for (const { policy } of ranked)
      expect(policy).toMatchObject({ ...fixed, attention: 'host', hostShare: 0, speculation: 'serial' });
  });

  it('does without a draft', async () => {
    const { ranked } = await planRun({ ...job, draft: null, acceptance: null });
    expect(new Set(ranked.map(({ strategy }) => strategy))).toEqual(new Set(['none']));
  });

  it('simulates no more than it may', async () => {
    expect((await planRun({ ...job, mostSimulations: 3, numSeeds: 1 })).numSimulated).toBe(3);
  });

  it.each<[string, Partial<PlanRequest>, RegExp]>([
    [
      'too little device memory',
      { machine: withBudgets(gpu, { deviceBytes: 1e9 }) },
      /^the device memory budget of 1000 MB is too small: this run needs \d.*raise it to at least \d+ MB/,
    ],
    [
      'too little host memory',
      { machine: withBudgets(gpu, { hostBytes: 1e9 }) },
      /^the host memory budget of 1000 MB is too small/,
    ],
    ['no acceptance', { acceptance: null }, /needs an acceptance/],
    ['no new tokens', { maxNewTokens: 0 }, /invalid number of new tokens: 0/],
    ['a prompt too long', { promptLengths: [40_000] }, /has 40000 tokens .* context of mixtral-4 is 32768/],
    [
      'more candidates than an acceptance knows of',
      { acceptance: rates(0.8, 0.7), fixed: { candidates: 4 } },
      /has 2 positions, the run needs 4 candidates/,
    ],
    ['nothing left to choose', { strategies: ['serial'], draft: null }, /there is nothing to plan/],
  ])('is refused in one sentence: %s', async (_what, changes, message) => {
    const refused = planRun({ ...job, ...changes });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(UserError);
  });

  it('stops when its signal aborts', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = () => controller.abort(reason);
    const request = { ...job, strategies: ['none'], signal: controller.signal, onProgress } as const;
    await expect(planRun(request)).rejects.toBe(reason);
  });
});

it('a plan made in a notebook stops when its cell is interrupted', async () => {
  const controller = new AbortController();
  const reason = new Error('interrupted');
  publishSignal(() => controller.signal);
  try {
    const onProgress = () => controller.abort(reason);
    await expect(planRun({ ...job, strategies: ['none'], onProgress })).rejects.toBe(reason);
  } finally {
    publishSignal(() => new AbortController().signal);
  }
});

describe('more of a resource', () => {
  const gainOf = ({ tokensPerSecondBySeed, baselineBySeed }: Relaxation) =>
    median(tokensPerSecondBySeed.map((value, seed) => value / baselineBySeed[seed]));

  it('is tried for every resource on the first seeds of the plan, and helps most where the lane binds', async () => {
    const request = { ...job, strategies: ['none'] as const };
    const plan = await planRun(request);
    const found = await relaxResources(request, plan);
    expect(found.map(({ resource }) => resource)).toEqual([
      ...['link', 'host arithmetic', 'device arithmetic', 'device memory', 'host memory', 'disk', 'packing'],
    ]);
    for (const { baselineBySeed } of found)
      expect(baselineBySeed).toEqual(plan.ranked[0].tokensPerSecondBySeed.slice(0, 5));
    const gains = new Map(found.map((relaxation) => [relaxation.resource, gainOf(relaxation)]));
    for (const [resource, gain] of gains) expect(gain, resource).toBeGreaterThan(0.99);
    expect(plan.ranked[0].busiest.lane).toBe('link');
    for (const lane of ['host arithmetic', 'device arithmetic', 'disk'] as const)
      expect(gains.get('link')).toBeGreaterThan(gains.get(lane)!);
    // Half more device memory holds all of the four layers: nothing streams any more.
    expect(gains.get('device memory')).toBe(Math.max(...gains.values()));
  });

  it('is the same plan where nothing asks for more of it, to the last bit', async () => {
    // Where rows are nearly free, alternates take most of what a better draft would bring.
    const asked = { ...unadapted, fixed: { ...unadapted.fixed, alternates: 0 } } as const;
    const found = await relaxResources(asked, await planOnce(asked), { numSeeds: 3 });
    const disk = found.find(({ resource }) => resource === 'disk')!;
    expect(disk.tokensPerSecondBySeed).toEqual(disk.baselineBySeed);
    const better = found.find(({ resource }) => resource === 'acceptance')!;
    expect(gainOf(better)).toBeGreaterThan(1.02);
  });

  it('of memory is used where the plan allows it', async () => {
    const request = { ...job, strategies: ['none'], machine: shrinkMemory(gpu, 0.8) } as const;
    const plan = await planRun(request);
    const found = await relaxResources(request, plan, { numSeeds: 3 });
    const memory = found.find(({ resource }) => resource === 'device memory')!;
    expect(memory.isReplanned).toBe(true);
    expect(gainOf(memory)).toBeGreaterThan(1.02);
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
    const plan = await planOnce(job);
    const ladder = await climbLadder(job, plan, { published });
    expect(ladder.published.policy).toMatchObject(published);
    expect(ladder.publishedBySeed).toHaveLength(5);
    expect(ladder.publishedAsCounted).toBeGreaterThan(ladder.published.tokensPerSecond);
    expect(median(plan.ranked[0].tokensPerSecondBySeed)).toBeGreaterThan(median(ladder.publishedBySeed));
    const named = new Set(ladder.steps.flatMap(({ fields }) => Object.keys(fields)));
    for (const field of ['ending', 'pageLocked'] satisfies (keyof Policy)[]) expect(named).toContain(field);
    // On the same draws nothing is lost by ending at one's own limit, on no seed.
    const limits = ladder.steps.find(({ fields }) => 'ending' in fields)!;
    for (const [seed, value] of limits.tokensPerSecondBySeed!.entries())
      expect(value).toBeGreaterThanOrEqual(ladder.publishedBySeed[seed]);
  });
});

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
