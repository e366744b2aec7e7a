/** The climb from the best that a search has found: to neighbours that simulations show to be faster, and to no others. */

import { Appraiser, type PlanRequest, type PolicyInput, planRun, predict } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { climb } from '../../engine/dist/plan/climb.js';
import { type Contender, planSpace } from '../../engine/dist/plan/space.js';
import { seedsOf, Trials } from '../../engine/dist/plan/trials.js';
import { mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const job: PlanRequest = {
  ...{ target: mixtral(4), draft: mistral(4), machine: shrinkMemory(workstation, 1 / 2) },
  ...{ acceptance: rates(0.8), maxNewTokens: 8, promptLengths: new Array<number>(8).fill(64) },
};
const from: Contender = {
  strategy: 'serial',
  policy: { speculation: 'serial', batches: 1, decodeBatch: 8, candidates: 1, prefetchDepth: 0 },
};

async function climbFrom(
  start: Contender,
  request: Partial<PlanRequest> = {},
  { mostPredictions = 120, mostTasks = Number.POSITIVE_INFINITY } = {},
) {
  const asked = { ...job, ...request };
  const trials = new Trials(asked, seedsOf(50, 7));
  const families = planSpace({ ...asked, numPrompts: asked.promptLengths.length });
  const limits = { mostPredictions, mostTasks };
  const end = await climb(start, { families, trials, appraiser: new Appraiser(asked), ...limits });
  return { end, trials };
}

async function rateOn(seed: number, { strategy, policy }: Contender): Promise<number> {
  return (await predict({ ...job, seed }, { strategy, policy })).outcome.tokensPerSecond;
}

describe('a climb', async () => {
  const { end } = await climbFrom(from);

  it('ends where more is written, on seeds that it has not seen, and the same each time', async () => {
    for (const seed of [900, 901, 902])
      expect(await rateOn(seed, end)).toBeGreaterThan(1.2 * (await rateOn(seed, from)));
    expect((await climbFrom(from)).end).toEqual(end);
  });

  it('tries values between those of a search, too', () => {
    const [serial] = planSpace({ ...job, numPrompts: 8 }).filter(
      ({ speculation }) => speculation === 'serial',
    );
    const between = serial?.coordinates.find(({ name }) => name === 'candidates')?.between;
    expect(between).toContainEqual({ candidates: 5 });
  });

  it('leaves what the caller has settled, and tries no more candidates than the acceptance knows of', async () => {
    const fixed: PolicyInput = { candidates: 1, prefetchDepth: 0 };
    const kept = await climbFrom(from, { fixed });
    expect(kept.end.policy).toMatchObject(fixed);
    const allowed = { attention: ['host'] } as const;
    const known = await climbFrom(from, { acceptance: rates(0.9, 0.9, 0.9, 0.9, 0.9), allowed });
    expect(known.end.policy.candidates).toBeLessThanOrEqual(5);
    expect(known.end.policy.attention ?? 'host').toBe('host');
  });

  it('spends no more than it may: what it has found until then is where it ends', async () => {
    const none = await climbFrom(from, {}, { mostPredictions: 0 });
    expect([none.end, none.trials.numPredictions]).toEqual([from, 0]);
    const few = await climbFrom(from, {}, { mostPredictions: 10 });
    // The last one that was begun is tried on all seeds that it takes to tell.
    expect(few.trials.numPredictions).toBeLessThan(10 + 2 * 7);
    const { trials } = await climbFrom(from, {}, { mostTasks: 1 });
    expect(trials.numPredictions).toBeLessThanOrEqual(2 * 7);
    expect(trials.numTasks).toBeGreaterThan(100);
  });
});

describe('a plan', () => {
  it('climbs on seeds of its own, from the best that its search has found, and decides about both', async () => {
    const plan = await planRun({ ...job, strategies: ['serial'], numSeeds: 3, mostSimulations: 6 });
    expect(plan.numClimbed).toBeGreaterThan(0);
    expect(plan.numClimbed).toBeLessThan(plan.numPredictions - plan.numSimulated);
    expect(plan.seeds).toEqual([2, 3, 4]);
  });

  it('does not where it decides nothing, on one seed', async () => {
    expect(
      (await planRun({ ...job, strategies: ['serial'], numSeeds: 1, mostSimulations: 3 })).numClimbed,
    ).toBe(0);
  });
});
