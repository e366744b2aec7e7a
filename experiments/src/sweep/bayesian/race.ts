/**
 * How many runs a point is worth: successive halving as points come one by one (ASHA, Li et al., arXiv 1810.05934). A
 * point goes on to twice as many runs while it is in the better half of those that have as many; from three runs on,
 * until its runs, paired with the best one's of the same turns, are distinguishably worse.
 */

import { median } from 'simple-statistics';
import { leastValues, pairedRatio } from '../../statistics/index.js';

export interface Objective {
  readonly metric: string;
  readonly lowerIsBetter: boolean;
}

/** Of one point, by turn; of each run, a value per objective. */
export type Runs = readonly (readonly number[])[];

/** Median of each objective. */
export function mediansOf(runs: Runs): number[] {
  return runs[0]!.map((_, objective) => median(runs.map((values) => values[objective]!)));
}

/** Whether a point is at least as good in all objectives and better in one. */
export function dominates(a: readonly number[], b: readonly number[], objectives: readonly Objective[]) {
  const differences = objectives.map(({ lowerIsBetter }, i) =>
    lowerIsBetter ? b[i]! - a[i]! : a[i]! - b[i]!,
  );
  return (
    differences.every((difference) => difference >= 0) && differences.some((difference) => difference > 0)
  );
}

/** Those that no other one dominates: of one objective the best. */
export function frontOf<Point extends { readonly runs: Runs }>(
  points: readonly Point[],
  objectives: readonly Objective[],
): Point[] {
  const medians = points.map(({ runs }) => mediansOf(runs));
  return points.filter((_, i) => !medians.some((other) => dominates(other, medians[i]!, objectives)));
}

/** @param others that were run, without this one */
export function deservesMore(runs: Runs, others: readonly Runs[], objectives: readonly Objective[]): boolean {
  const n = runs.length;
  if (n >= leastValues) return !others.some((other) => isClearlyWorse(runs, other, objectives));
  const rivals = [runs, ...others.filter((other) => other.length >= n)].map((each) =>
    mediansOf(each.slice(0, n)),
  );
  const betterThan = (own: readonly number[]) =>
    rivals.filter((other) => dominates(other, own, objectives)).length;
  const own = betterThan(rivals[0]!);
  return rivals.filter((rival) => betterThan(rival) < own).length < Math.ceil(rivals.length / 2);
}

/** In one objective, and distinguishably better in none. */
function isClearlyWorse(runs: Runs, other: Runs, objectives: readonly Objective[]): boolean {
  const verdicts = objectives.map(({ lowerIsBetter }, i) => {
    const pairs = runs.flatMap((values, turn) => {
      const [value, baseline] = [values[i]!, other[turn]?.[i]];
      return baseline !== undefined && value > 0 && baseline > 0 ? [{ value, baseline }] : [];
    });
    return pairedRatio(pairs, { lowerIsBetter }).verdict;
  });
  return (
    verdicts.includes('slower') &&
    verdicts.every((verdict) => verdict === 'slower' || verdict === 'not distinguishable')
  );
}
