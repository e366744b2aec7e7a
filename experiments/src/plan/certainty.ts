/** How sure a plan is: its predictions over seeds as medians, paired ratios and a regret, all with 95 % intervals. */

import {
  createRandom,
  type Plan,
  type PlannedPolicy,
  type Random,
  type Relaxation,
} from '@specoffload/engine';
import { mean, medianSorted, quantileSorted } from 'simple-statistics';
import {
  describeSample,
  leastValues,
  type PairedRatio,
  pairedRatio,
  type SampleSummary,
} from '../statistics/index.js';

/** Of the tokens per second that a policy is predicted to write. */
export function throughputOf({ tokensPerSecondBySeed }: PlannedPolicy): SampleSummary {
  return describeSample(tokensPerSecondBySeed);
}

/** Seed by seed, over the seeds that both have. */
export function ratioBySeed(values: readonly number[], baselines: readonly number[]): PairedRatio {
  const n = Math.min(values.length, baselines.length);
  return pairedRatio(
    values.slice(0, n).map((value, seed) => ({ value, baseline: baselines[seed] as number })),
  );
}

/** What is lost, in the mean, by the choice that was made: shares of the best finalist's throughput. */
export interface Regret {
  readonly expected: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
  readonly numFinalists: number;
}

const numResamples = 2000;

/**
 * The expected loss against the finalist that is really the best, by the bootstrap over seeds: in every resample, how
 * far the best median ratio to the choice is above 1. It knows the finalists only, and not how wrong the machine file is.
 * @returns null of fewer than 3 seeds, which cannot tell
 */
export function regretOf({ ranked, seeds }: Plan, random: Random = createRandom(1, 'regret')): Regret | null {
  if (seeds.length < leastValues) return null;
  const [choice, ...others] = ranked as [PlannedPolicy, ...PlannedPolicy[]];
  const ratios = others.map(({ tokensPerSecondBySeed }) =>
    tokensPerSecondBySeed.map((value, seed) => value / (choice.tokensPerSecondBySeed[seed] as number)),
  );
  const losses = Array.from({ length: numResamples }, () => {
    // The same seeds of all finalists, as far as they have them: what they share, they share in a resample too.
    const draws = seeds.map(() => random.uniform());
    const best = Math.max(1, ...ratios.map((own) => resampledMedian(own, draws)));
    return 1 - 1 / best;
  }).sort((a, b) => a - b);
  return {
    expected: mean(losses),
    ...{ low: quantileSorted(losses, 0.025), high: quantileSorted(losses, 0.975) },
    numFinalists: ranked.length,
  };
}

function resampledMedian(values: readonly number[], draws: readonly number[]): number {
  const drawn = values.map(
    (_, index) => values[Math.floor((draws[index] as number) * values.length)] as number,
  );
  return medianSorted(drawn.sort((a, b) => a - b));
}

/** What a change gains. Never below 1, since with more of a resource the old policy is still possible. */
export interface Gain {
  readonly resource: Relaxation['resource'];
  readonly change: string;
  readonly isReplanned: boolean;
  /** Seeds. */
  readonly n: number;
  /** With the change over without: median and 95 % interval; at least 1. */
  readonly ratio: number;
  readonly low: number | null;
  readonly high: number | null;
  /** Whether the interval leaves out 1. */
  readonly isDistinguishable: boolean;
}

/** The greatest first, those that can't be told from none last. */
export function gainsOf(relaxations: readonly Relaxation[]): Gain[] {
  return relaxations
    .map(({ resource, change, isReplanned, tokensPerSecondBySeed, baselineBySeed }): Gain => {
      const { n, ratio, low, high, verdict } = ratioBySeed(tokensPerSecondBySeed, baselineBySeed);
      return {
        ...{ resource, change, isReplanned, n, ratio: Math.max(1, ratio ?? 1) },
        low: low === null ? null : Math.max(1, low),
        high: high === null ? null : Math.max(1, high),
        isDistinguishable: verdict === 'faster',
      };
    })
    .sort(
      (a, b) =>
        Number(b.isDistinguishable) - Number(a.isDistinguishable) ||
        b.ratio - a.ratio ||
        (a.change < b.change ? -1 : 1),
    );
}

/** The resource whose relaxation gains most, beyond doubt; null where none does. */
export function bindingOf(gains: readonly Gain[]): Gain | null {
  const isOfMachine = ({ resource, isDistinguishable }: Gain) =>
    resource !== 'acceptance' && resource !== 'packing' && isDistinguishable;
  return gains.find(isOfMachine) ?? null;
}
