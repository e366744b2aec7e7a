/** How sure a plan is, on plans whose truth is known because they are made up. */

import type { Plan, PlannedPolicy, Relaxation } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  bindingOf,
  gainsOf,
  ratioBySeed,
  regretOf,
  throughputOf,
} from '../../../experiments/src/plan/certainty.js';

const seeds = [2, 3, 4, 5, 6, 7, 8];

const finalist = (...tokensPerSecondBySeed: readonly number[]) =>
  ({ tokensPerSecondBySeed }) as unknown as PlannedPolicy;

const planOf = (...ranked: readonly PlannedPolicy[]) => ({ ranked, seeds }) as unknown as Plan;

/** Noise that two policies share, as they do on common draws, and that hides nothing in their ratios. */
const shared = [1, 1.06, 0.95, 1.02, 0.97, 1.04, 0.99];

describe('throughput and ratios', () => {
  it('are medians with intervals, ratios seed by seed over the seeds that both have', () => {
    const choice = finalist(...shared.map((noise) => 60 * noise));
    const { median, low, high } = throughputOf(choice);
    expect(median).toBe(60);
    expect(low).toBeLessThan(60);
    expect(high).toBeGreaterThan(60);
    const fewer = ratioBySeed([54, 57.24, 51.3], choice.tokensPerSecondBySeed);
    expect(fewer).toMatchObject({ n: 3, verdict: 'slower' });
    expect(fewer.ratio).toBeCloseTo(0.9, 10);
  });
});

describe('the regret', () => {
  it('is nothing where the choice is the best on every seed, and where it is alone', () => {
    const choice = finalist(...shared);
    const worse = finalist(...shared.map((noise) => 0.9 * noise));
    expect(regretOf(planOf(choice, worse))).toEqual({ expected: 0, low: 0, high: 0, numFinalists: 2 });
    expect(regretOf(planOf(choice))).toMatchObject({ expected: 0, high: 0 });
  });

  it('is what another finalist would have brought where it is better on every seed', () => {
    const [choice, better] = [finalist(...shared.map((noise) => 0.9 * noise)), finalist(...shared)];
    const { expected, low, high } = regretOf(planOf(choice, better))!;
    for (const share of [expected, low, high]) expect(share).toBeCloseTo(0.1, 10);
  });

  it('is between where nobody can tell, and more where finalists differ more', () => {
    const choice = finalist(1, 1, 1, 1, 1, 1, 1);
    const regretBeside = (spread: number) =>
      regretOf(planOf(choice, finalist(...[-3, -2, -1, 0, 1, 2, 3].map((step) => 1 + spread * step))))!;
    const [little, much] = [regretBeside(0.01), regretBeside(0.05)];
    expect(little.expected).toBeGreaterThan(0.001);
    expect(little.expected).toBeLessThan(0.03);
    expect(little.low).toBe(0);
    expect(little.high).toBeGreaterThan(little.expected);
    expect(much.expected).toBeGreaterThan(3 * little.expected);
  });

  it('is not known of fewer than 3 seeds', () => {
    expect(regretOf({ ...planOf(finalist(1, 2), finalist(2, 1)), seeds: [2, 3] })).toBeNull();
  });
});

describe('what binds', () => {
  const base = [10, 11, 9, 10, 10.5];
  const relaxed = (resource: Relaxation['resource'], ...factors: readonly number[]): Relaxation => ({
    ...{ resource, change: `${resource} x1.5`, isReplanned: false, baselineBySeed: base },
    tokensPerSecondBySeed: base.map((value, seed) => value * factors[seed % factors.length]),
  });

  it('is the resource that gains most of those that gain beyond doubt, and never the acceptance', () => {
    const gains = gainsOf([
      relaxed('host arithmetic', 1.04, 1.05, 1.045),
      relaxed('link', 1.2, 1.25, 1.22),
      relaxed('device memory', 1.9, 0.7, 1.6, 0.8, 1.7),
      relaxed('acceptance', 1.4, 1.41),
    ]);
    expect(gains.map(({ resource }) => resource)).toEqual([
      'acceptance',
      'link',
      'host arithmetic',
      'device memory',
    ]);
    expect(bindingOf(gains)).toMatchObject({ resource: 'link', isDistinguishable: true });
  });

  it('is nobody where no gain can be told from none', () => {
    const gains = gainsOf([relaxed('disk', 1), relaxed('link', 0.99, 1.01, 1.02, 0.98, 1)]);
    expect(bindingOf(gains)).toBeNull();
    for (const { isDistinguishable } of gains) expect(isDistinguishable).toBe(false);
  });

  it('shows no loss under what would make it faster: who has more may do as before', () => {
    const [gain] = gainsOf([relaxed('link', 0.9, 0.91, 0.92)]);
    expect(gain).toMatchObject({ ratio: 1, low: 1, high: 1, isDistinguishable: false });
  });
});
