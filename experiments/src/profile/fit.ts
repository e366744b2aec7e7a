/** From spans of real runs to rates: small, robust fits, each on tasks of one kind. */

import type { ComputeRates } from '@specoffload/engine';
import { loadMath } from '../inputs/math.js';

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * What takes so many times as long as the median is left out: the system was busy with something else during it. Less
 * belongs to the machine, whose lanes take each other's core for a time slice of some milliseconds.
 */
const outlierFactor = 20;

/**
 * What equal tasks take on average. Not the median: a run's time is the sum of its tasks', the slow ones included;
 * only the slowest are left out.
 */
export function typicalMean(values: readonly number[]): number {
  const most = outlierFactor * median(values);
  const kept = values.filter((value) => value <= most);
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

/** Spread of the logarithms of positive values: the sigma of a log-normal. */
export function logSpread(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const logs = values.map(Math.log);
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  return Math.sqrt(logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / logs.length);
}

/** One task as it was seen: how much it was asked for and how long it took. */
export interface Observation {
  readonly rows: number;
  readonly flops: number;
  readonly seconds: number;
}

/** Borders between classes of row counts grow by this factor: fine enough for curves, coarse enough for medians. */
const rowClassGrowth = 1.3;

/** The same number for similar row counts. */
export function rowClassOf(rows: number): number {
  return Math.round(Math.log(rows) / Math.log(rowClassGrowth));
}

/**
 * The rate reached by row count: the typical mean of each class of similar row counts, by ascending rows. No product
 * takes less time for having more rows: where it seems so, because a class has few members or was seen at another
 * moment than the next, both get their common mean.
 */
export function fitArithmetic(observations: readonly Observation[]): ComputeRates['arithmetic'] {
  const classes = new Map<number, Observation[]>();
  for (const observation of observations) {
    if (observation.rows <= 0 || observation.flops <= 0) continue;
    const index = rowClassOf(observation.rows);
    const members = classes.get(index);
    if (members) members.push(observation);
    else classes.set(index, [observation]);
  }
  const points = [...classes.values()].map((members) => {
    const rows = median(members.map((member) => member.rows));
    const secondsPerFlop = typicalMean(members.map(({ flops, seconds }) => seconds / flops));
    return { rows, value: rows * secondsPerFlop, weight: members.length };
  });
  points.sort((a, b) => a.rows - b.rows);
  const ascending = points.filter(({ rows }, index) => index === 0 || rows > points[index - 1].rows);
  return neverLess(ascending).map((value, index) => [ascending[index].rows, ascending[index].rows / value]);
}

/** The non-decreasing values that come closest to those given, by their weights: pools neighbours that are out of order. */
function neverLess(points: readonly { readonly value: number; readonly weight: number }[]): number[] {
  const pools: { value: number; weight: number; members: number }[] = [];
  for (const { value, weight } of points) {
    let pool = { value, weight, members: 1 };
    for (let last = pools.at(-1); last && last.value > pool.value; last = pools.at(-1)) {
      pools.pop();
      const both = last.weight + pool.weight;
      const mean = (last.value * last.weight + pool.value * pool.weight) / both;
      pool = { value: mean, weight: both, members: last.members + pool.members };
    }
    pools.push(pool);
  }
  return pools.flatMap(({ value, members }) => new Array<number>(members).fill(value));
}

/**
 * Coefficients, none below 0, of the linear combination of `features` that comes closest to `values`, each deviation
 * weighed by its own value, so that short tasks count as much as long ones.
 *
 * Least squares over every subset of features; the best one without a negative coefficient wins. For a handful of
 * features that is simpler than an active-set method and exact.
 */
export function fitNonNegative(
  features: readonly (readonly number[])[],
  values: readonly number[],
): readonly number[] {
  const numFeatures = features[0]?.length ?? 0;
  let best: { coefficients: number[]; error: number } | null = null;
  for (let subset = 1; subset < 2 ** numFeatures; subset += 1) {
    const chosen = Array.from({ length: numFeatures }, (_, i) => i).filter((i) => subset & (1 << i));
    const solved = solveLeastSquares(features, values, chosen);
    if (!solved?.every((coefficient) => coefficient >= 0)) continue;
    const coefficients = new Array<number>(numFeatures).fill(0);
    for (const [place, index] of chosen.entries()) coefficients[index] = solved[place];
    const error = features.reduce((sum, row, i) => {
      const predicted = row.reduce((total, feature, j) => total + feature * coefficients[j], 0);
      return sum + ((predicted - values[i]) / values[i]) ** 2;
    }, 0);
    if (!best || error < best.error) best = { coefficients, error };
  }
  return best?.coefficients ?? new Array<number>(numFeatures).fill(0);
}

/** By the normal equations; null when the features are not independent. */
function solveLeastSquares(
  features: readonly (readonly number[])[],
  values: readonly number[],
  chosen: readonly number[],
): number[] | null {
  // Columns differ by many orders of magnitude (1, rows, bytes), so each is scaled to its largest value.
  const scales = chosen.map((index) => features.reduce((most, row) => Math.max(most, row[index]), 0) || 1);
  const matrix = chosen.map(() => new Array<number>(chosen.length).fill(0));
  const vector = new Array<number>(chosen.length).fill(0);
  for (const [i, row] of features.entries()) {
    const scaled = chosen.map((index, place) => row[index] / scales[place] / values[i]);
    for (const [a, x] of scaled.entries()) {
      for (const [b, y] of scaled.entries()) matrix[a][b] += x * y;
      vector[a] += x;
    }
  }
  try {
    const solution = loadMath().lusolve(matrix, vector) as number[][];
    return solution.map(([coefficient], place) => coefficient / scales[place]);
  } catch {
    return null; // singular
  }
}
