/** A planner that chooses how the weights are stored: as they are, or packed without loss. */

import {
  climbLadder,
  type MachineModel,
  type PlanRequest,
  packedTwin,
  planFront,
  planRun,
  predict,
  relaxResources,
  targetOf,
  withBudgets,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { planSpace } from '../../engine/dist/plan/space.js';
import { mistral, mixtral, rates, workstation } from './plan-cases.js';

const target = mixtral(4);
const packed = packedTwin(target)!;
/** A link that everything waits for; or one that is no matter, where unpacking is all the difference. */
const small = withBudgets(workstation, { deviceBytes: 8e9 });
const withLink = (bytesPerSecond: number): MachineModel => withLane(small, 'link', { bytesPerSecond });
const job = (machine: MachineModel): PlanRequest => ({
  ...{ target, draft: mistral(2), storedOtherwise: [packed], acceptance: rates(0.8), machine },
  ...{ promptLengths: new Array<number>(8).fill(64), maxNewTokens: 8 },
  ...{ strategies: ['none', 'serial'], mostSimulations: 10, numSeeds: 3 },
  fixed: { pinnedLayers: 0, attention: 'host', hostShare: 0, experts: 'all', adaptCandidates: 'no' },
});
const slow = job(withLink(2e9));

describe('where the link is slow', async () => {
  const plan = await planRun(slow);
  const [best] = plan.ranked;

  it('packs them, and predicts what that run is predicted at by itself', async () => {
    expect(best.targetFormat).toBe('bf16_packed');
    expect(targetOf(slow, best)).toBe(packed);
    const alone = await predict(
      { ...slow, target: packed, storedOtherwise: undefined, seed: plan.seeds[0] },
      { strategy: best.strategy, policy: best.input },
    );
    expect(alone.outcome.tokensPerSecond).toBe(best.tokensPerSecondBySeed[0]);
    const plain = await predict(
      { ...slow, seed: plan.seeds[0] },
      { strategy: best.strategy, policy: best.input },
    );
    expect(alone.outcome.tokensPerSecond / plain.outcome.tokensPerSecond).toBeGreaterThan(1.15);
  });

  it('finds what a plan for packed weights alone finds', async () => {
    const alone = await planRun({ ...slow, target: packed, storedOtherwise: undefined });
    expect(best.outcome.tokensPerSecond).toBeGreaterThan(0.98 * alone.ranked[0].outcome.tokensPerSecond);
  });

  it('tries what is known of another plan before all else', async () => {
    const alone = { ...slow, target: packed, storedOtherwise: undefined, mostSimulations: 1 };
    const { ranked, numSimulated } = await planRun({ ...alone, known: [best] });
    expect(numSimulated).toBe(1);
    expect(ranked[0].policy).toEqual(best.policy);
  });

  it('tries the best with the weights as they are beside it, and names the difference', () => {
    const other = plan.alternatives.find(({ planned }) => planned.targetFormat === undefined)!;
    expect(other.differences).toContainEqual({
      ...{ aspect: 'how the weights are stored', choice: 'weights packed', value: 'weights as they are' },
    });
  });

  it('says what packing alone brings to the published policy, and not once more what it would bring', async () => {
    const { steps } = await climbLadder(slow, plan, { published: { decodeBatch: 4, candidates: 4 } });
    const step = steps.find(({ option }) => option === 'weights packed without loss')!;
    expect(step.tokensPerSecondBySeed![0]).toBeGreaterThan(0);
    const changes = (await relaxResources(slow, plan, { numSeeds: 1 })).map(({ change }) => change);
    expect(changes).toContain('link x1.5');
    expect(changes).not.toContain('weights packed without loss');
  });
});

it('leaves them as they are where unpacking costs more than the link saves', async () => {
  const device = small.lanes.find(({ name }) => name === 'device')!;
  const machine = withLane(withLink(500e9), 'device', {
    decoding: { ...('decoding' in device ? device.decoding : {}), bf16_packed: 1e8 },
  });
  const { ranked } = await planRun(job(machine));
  expect(ranked[0].targetFormat).toBeUndefined();
  expect(ranked.some(({ targetFormat }) => targetFormat === 'bf16_packed')).toBe(true);
});

it('looks at every way twice', () => {
  const families = planSpace({ ...slow, numPrompts: 8 });
  const plain = families.filter((family) => family.target === undefined);
  expect(families.filter((family) => family.target === packed).length).toBe(plain.length);
  expect(planSpace({ ...slow, storedOtherwise: undefined, numPrompts: 8 })).toEqual(plain);
});

it('puts both on a front', async () => {
  const { points } = await planFront({ ...slow, aims: ['device-memory'], strategies: ['none'] });
  expect(points[0].planned.targetFormat).toBe('bf16_packed');
});
