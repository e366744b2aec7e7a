/** Draws that belong to texts and tasks: equal for all policies of a seed, and as likely as those drawn in order. */

import {
  createRandomTable,
  type PolicyInput,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { createCommonOracle } from '../../engine/dist/speculate/acceptance.js';
import { mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const job = {
  ...{ target: mixtral(2), draft: mistral(2), machine: shrinkMemory(workstation, 1 / 2) },
  ...{ acceptance: rates(0.7), maxNewTokens: 16, promptLengths: new Array<number>(48).fill(64) },
} satisfies Partial<SimulationRequest>;
const seeds = Array.from({ length: 24 }, (_, index) => index + 1);

const simulate = (
  strategy: StrategyName,
  policy: PolicyInput,
  seed: number,
  draws: SimulationRequest['draws'] = 'common',
) => simulateRun({ ...job, strategy, policy: { prefillAttention: 'device', ...policy }, seed, draws });

describe('a table of random numbers', () => {
  const table = createRandomTable(7, 'x');
  const numbers = Array.from({ length: 100 * 100 }, (_, index) =>
    table(Math.floor(index / 100), index % 100),
  );

  it('has the same number in the same place, another elsewhere, and others for other seeds and streams', () => {
    expect(createRandomTable(7, 'x')(3, 5)).toBe(table(3, 5));
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const other of [createRandomTable(8, 'x'), createRandomTable(7, 'y')])
      expect(other(3, 5)).not.toBe(table(3, 5));
  });

  it('is uniform, and knows nothing of its neighbours', () => {
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(numbers)).toBeCloseTo(0.5, 1.5);
    expect(mean(numbers.map((value) => (value - 0.5) ** 2))).toBeCloseTo(1 / 12, 2);
    for (const distance of [1, 2, 100, 101]) {
      const products = numbers
        .slice(distance)
        .map((value, index) => (value - 0.5) * ((numbers[index] as number) - 0.5));
      expect(Math.abs(mean(products)), `${distance} apart`).toBeLessThan(0.004);
    }
  });
});

describe('common draws', () => {
  it('settle a token once, in whatever round it is asked about', () => {
    const { accepts } = createCommonOracle(rates(0.5), 1);
    for (let place = 0; place < 50; place += 1)
      for (let step = 0; step <= Math.min(place, 8); step += 1)
        expect(accepts(3, place - step, step)).toBe(accepts(3, place, 0));
  });

  it('give policies that differ in their schedule alone the same rounds, where draws in order do not', async () => {
    const differences = async (draws: SimulationRequest['draws']) => {
      let count = 0;
      for (const seed of seeds.slice(0, 8)) {
        const [whole, parts] = await Promise.all([
          simulate('serial', { candidates: 4 }, seed, draws),
          simulate('serial', { candidates: 4, microBatch: 12, draftBatch: 6 }, seed, draws),
        ]);
        if (whole.acceptance?.accepted !== parts.acceptance?.accepted) count += 1;
      }
      return count;
    };
    expect(await differences('common')).toBe(0);
    expect(await differences('in-order')).toBeGreaterThan(4);
  });

  it.each<[StrategyName, PolicyInput]>([
    ['serial', { candidates: 4 }],
    ['serial', { candidates: 4, speculation: 'ahead' }],
    ['specoffload', { candidates: 3 }],
    ['specoffload', { candidates: 3, ending: 'slowest' }],
  ])('are as lucky as draws in order: %s %j', async (strategy, policy) => {
    const meanOf = async (draws: SimulationRequest['draws']) => {
      let [rate, tokens] = [0, 0];
      for (const seed of seeds) {
        const { acceptance, tokensPerSecond } = await simulate(strategy, policy, seed, draws);
        rate += (acceptance?.rate ?? 0) / seeds.length;
        tokens += tokensPerSecond / seeds.length;
      }
      return { rate, tokens };
    };
    const [common, inOrder] = [await meanOf('common'), await meanOf('in-order')];
    expect(Math.abs(common.rate - inOrder.rate)).toBeLessThan(0.01);
    // The means of so few sequences and seeds have a standard error of 1.2 % each.
    expect(Math.abs(common.tokens / inOrder.tokens - 1)).toBeLessThan(0.04);
  });

  it('draw task times lane by lane: what another lane does moves none of them', async () => {
    const machine = ['link', 'host'].reduce(
      (uneven, lane) => withLane(uneven, lane, { variability: 0.3 }),
      job.machine,
    );
    const linkTimes = async (policy: PolicyInput) => {
      const { spans } = await simulateRun({
        ...{ ...job, machine, draft: null, acceptance: null, strategy: 'none', seed: 5, draws: 'common' },
        policy,
      });
      return spans
        .filter(({ kind, bytes }) => kind === 'upload' && bytes > 0)
        .map(({ startSeconds, endSeconds, bytes }) => (endSeconds - startSeconds) / bytes)
        .slice(0, 6);
    };
    const places = {
      attention: 'host',
      prefillAttention: 'host',
      prefetchDepth: 1,
      pinnedLayers: 0,
    } as const;
    expect(await linkTimes({ ...places, microBatch: 12 })).toEqual(
      (await linkTimes(places)).map((seconds) => expect.closeTo(seconds, 15)),
    );
  });
});
