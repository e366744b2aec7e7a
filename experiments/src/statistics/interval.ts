/** How far a median can be trusted: 95 % intervals, by the bootstrap or, of few values, by Student's t. */

import type { Random } from '@specoffload/engine';
import {
  cumulativeStdNormalProbability,
  mean,
  quantileSorted,
  sampleStandardDeviation,
} from 'simple-statistics';

export interface Interval {
  readonly low: number;
  readonly high: number;
  readonly method: 'student' | 'bootstrap';
}

/** Fewer values than this say next to nothing about how much they vary. */
export const leastValues = 3;

/**
 * From so many values on, the bootstrap. It never leaves the sample's range, which holds the true median with
 * probability 1 - 2^(1 - n) at most: 75 % for 3 values, 94 % for 5, 97 % for 6.
 */
const leastForBootstrap = 6;

/** Resamples; what is random about the ends is then well below their own uncertainty. */
const numResamples = 2000;

/**
 * 95 % interval of the median of what the values are a sample of.
 *
 * From 6 values on the percentile bootstrap, which is right for medians, where the jackknife behind BCa is not (Efron and
 * Tibshirani, An Introduction to the Bootstrap, 1993, section 10.6), expanded for small samples (Hesterberg, What
 * Teachers Should Know About the Bootstrap, The American Statistician 69, 2015, expanded percentile interval). Of 3 to
 * 5 values Student's t, as Georges, Buytaert and Eeckhout advise for few runs (Statistically Rigorous Java Performance
 * Evaluation, OOPSLA 2007, section 3.2): it may reach beyond the sample, and takes the values to be normal for that, or
 * log-normal where all are positive, as times and ratios are.
 * @returns null of fewer than 3 values
 */
export function medianInterval(values: readonly number[], random: Random): Interval | null {
  if (values.length < leastValues) return null;
  if (values.length >= leastForBootstrap) return bootstrapInterval(values, random);
  if (values.some((value) => value <= 0)) return studentInterval(values);
  const { low, high, method } = studentInterval(values.map(Math.log));
  return { low: Math.exp(low), high: Math.exp(high), method };
}

function studentInterval(values: readonly number[]): Interval {
  const sample = [...values]; // simple-statistics' types know no readonly arrays
  const center = mean(sample);
  const reach = (studentQuantile(values.length) * sampleStandardDeviation(sample)) / Math.sqrt(values.length);
  return { low: center - reach, high: center + reach, method: 'student' };
}

function bootstrapInterval(values: readonly number[], random: Random): Interval {
  const scratch = new Float64Array(values.length);
  const sorted = new Float64Array(numResamples);
  for (let i = 0; i < numResamples; i++) sorted[i] = resampledMedian(values, scratch, random);
  const medians = [...sorted.sort()]; // simple-statistics' types know no typed arrays
  const n = values.length;
  const tail = cumulativeStdNormalProbability(-Math.sqrt(n / (n - 1)) * studentQuantile(n));
  return {
    low: quantileSorted(medians, tail),
    high: quantileSorted(medians, 1 - tail),
    method: 'bootstrap',
  };
}

/** Mutates scratch, (n). */
function resampledMedian(values: readonly number[], scratch: Float64Array, random: Random): number {
  const n = values.length;
  for (let i = 0; i < n; i++) {
    const drawn = values[Math.floor(random.uniform() * n)];
    // Into its place among those before it: of so few values faster than a sort that is called.
    let place = i;
    for (; place > 0 && scratch[place - 1] > drawn; place--) scratch[place] = scratch[place - 1];
    scratch[place] = drawn;
  }
  return (scratch[(n - 1) >> 1] + scratch[n >> 1]) / 2;
}

/** 97.5 % quantile of Student's t at n - 1 degrees of freedom: any table's up to 5 values, then as below. */
function studentQuantile(n: number): number {
  const few: Readonly<Record<number, number>> = { 3: 4.3027, 4: 3.1824, 5: 2.7764 };
  return few[n] ?? expandedQuantile(n - 1);
}

/** Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5), within 0.003 from 5 degrees of freedom on. */
function expandedQuantile(freedom: number): number {
  const z = 1.959964;
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
  );
}
