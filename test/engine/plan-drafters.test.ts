/** A planner that chooses who proposes, each with its own memory, cost and acceptance. */

import {
  type Acceptance,
  type PlanRequest,
  type PolicyInput,
  type Proposer,
  planRun,
  predict,
  relaxResources,
} from '@specoffload/engine';
import { expect, it } from 'vitest';
import { planSpace } from '../../engine/dist/plan/space.js';
import { mistral, mixtral, workstation } from './plan-cases.js';

const rates = (rate: number): Acceptance => ({ kind: 'rates', name: String(rate), byPosition: [rate] });
const [target, draft] = [mixtral(4), mistral(2)];
const job = {
  ...{ target, draft: null, acceptance: null, machine: workstation, maxNewTokens: 16, seed: 3 },
  promptLengths: new Array<number>(16).fill(64),
};
const proposersWith = (model: number, lookUp: number, self: number): Proposer[] => [
  { drafter: 'model', draft, acceptance: rates(model) },
  { drafter: 'prompt-lookup', draft: null, acceptance: rates(lookUp) },
  { drafter: 'self', draft: null, acceptance: rates(self) },
];
/** What is no question of who proposes, held where it is: a plan looks at a tenth of the policies. */
const fixed: PolicyInput = {
  ...{ pinnedLayers: 1, keptLayers: 3, attention: 'host', cache: 'host', prefillAttention: 'device' },
  ...{ projections: 'device', hostShare: 0, prefillBatch: 16, prefillOrder: 'layer-major', experts: 'all' },
  ...{ attentionWeights: 'streamed', prefetchDepth: 1, refill: 'no' },
};

it('holds one to the fields that its acceptance was measured with', async () => {
  const [, lookUp, self] = proposersWith(0.5, 0.1, 0.9);
  const halved = { ...self, policy: { draftLayers: 2 } };
  const { ranked } = await planRun({
    ...{ ...job, proposers: [lookUp, halved], fixed: { ...fixed, pinnedLayers: 2, keptLayers: 2 } },
    ...{ strategies: ['serial'], numSeeds: 1, mostSimulations: 3 },
  });
  expect(ranked[0].drafter).toBe('self');
  expect(ranked[0].policy.draftLayers).toBe(2);
});

it('looks at every way of each of them, and once at none', () => {
  const families = planSpace({ ...job, proposers: proposersWith(0.5, 0.5, 0.5), numPrompts: 16 });
  const ways = families.map(({ strategy, speculation, proposer }) => [
    strategy,
    speculation,
    proposer?.drafter,
  ]);
  expect(ways.filter(([, , drafter]) => drafter === undefined)).toEqual([['none', 'none', undefined]]);
  for (const drafter of ['model', 'prompt-lookup', 'self'])
    expect(ways.filter(([, , name]) => name === drafter).map(([, way]) => way)).toEqual([
      ...['serial', 'ahead', 'interleaved'],
    ]);
});

it.each<[string, [number, number, number]]>([
  ['model', [0.95, 0.1, 0.1]],
  ['prompt-lookup', [0.3, 0.9, 0.1]],
  ['self', [0.3, 0.05, 0.98]],
])('chooses %s where that is right most often', async (which, acceptances) => {
  const proposers = proposersWith(...acceptances);
  const spending = { fixed, strategies: ['none', 'serial'], numSeeds: 1, mostSimulations: 6 } as const;
  const request = { ...job, ...spending, proposers };
  const plan = await planRun(request);
  const [best] = plan.ranked;
  expect(best.drafter).toBe(which);
  expect(plan.ranked.map(({ drafter }) => drafter)).toContain(undefined);
  if (which === 'prompt-lookup') {
    // What a plan is told of it alone comes to the same.
    const alone = await planRun({ ...job, ...spending, ...proposers[1] });
    expect(best.outcome.tokensPerSecond).toBeGreaterThan(0.97 * alone.ranked[0].outcome.tokensPerSecond);
  }
  if (which !== 'self') return;
  const relaxed = await relaxResources(request, plan, { numSeeds: 1 });
  expect(relaxed.length).toBeGreaterThan(3);
});

it('is refused where there is nobody to choose', async () => {
  await expect(planRun({ ...job, proposers: [] })).rejects.toThrow('there is nobody to choose among');
});

it('lets a draft prepare for several outcomes where the pass leaves it time', async () => {
  const request: PlanRequest = {
    ...{ ...job, target: mixtral(2), draft: mistral(8), acceptance: rates(0.5), promptLengths: [64, 64] },
    ...{ strategies: ['serial'], numSeeds: 1, mostSimulations: 4 },
    fixed: {
      ...{ speculation: 'ahead', adaptCandidates: 'no', candidates: 1, pinnedLayers: 0, hostShare: 0 },
      alternates: 0,
    },
  };
  const [{ input, policy, outcome }] = (await planRun(request)).ranked;
  expect(policy.outcomes).toBeGreaterThan(1);
  const one = { strategy: 'serial', policy: { ...input, outcomes: 1 } } as const;
  const without = await predict({ ...request, seed: 4 }, one);
  expect(outcome.tokensPerSecond).toBeGreaterThan(without.outcome.tokensPerSecond);
});
