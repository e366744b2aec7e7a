/** What repeats of one run say together: their middle, how sure of it we are, and which of them stand apart. */

import { createRandom, type Random } from '@specoffload/engine';
import { medianSorted, quantileSorted } from 'simple-statistics';
import { type Interval, medianInterval } from './interval.js';

export interface SampleSummary {
  readonly n: number;
  readonly median: number;
  /** 95 % interval of the median; null of fewer than 3 values, which cannot tell. */
  readonly low: number | null;
  readonly high: number | null;
  /** How the interval was found; null without one. */
  readonly method: Interval['method'] | null;
  readonly least: number;
  readonly most: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  /** Values beyond Tukey's fences. They count in everything else: shown, not dropped. */
  readonly outliers: readonly number[];
}

/** Quartiles of fewer values are the values themselves. */
const leastForFences = 5;

/**
 * @param random of the bootstrap. @default a stream of its own: equal values give equal intervals
 * @throws RangeError for no values, or one that is no number
 */
export function describeSample(
  values: readonly number[],
  random: Random = createRandom(1, 'bootstrap'),
): SampleSummary {
  if (values.length === 0) throw new RangeError('invalid sample: no values; expected at least one');
  for (const value of values)
    if (!Number.isFinite(value)) throw new RangeError(`invalid value: ${value}; expected a finite number`);
  const sorted = [...values].sort((a, b) => a - b);
  const interval = medianInterval(sorted, random);
  const [lowerQuartile, upperQuartile] = [quantileSorted(sorted, 0.25), quantileSorted(sorted, 0.75)];
  return {
    n: sorted.length,
    median: medianSorted(sorted),
    ...{ low: interval?.low ?? null, high: interval?.high ?? null, method: interval?.method ?? null },
    ...{ least: sorted[0], most: sorted.at(-1)!, lowerQuartile, upperQuartile },
    outliers: sorted.length < leastForFences ? [] : beyondFences(sorted, lowerQuartile, upperQuartile),
  };
}

/** Tukey's fences: 1.5 interquartile ranges beyond the quartiles (Exploratory Data Analysis, 1977). */
function beyondFences(sorted: readonly number[], lowerQuartile: number, upperQuartile: number): number[] {
  const reach = 1.5 * (upperQuartile - lowerQuartile);
  return sorted.filter((value) => value < lowerQuartile - reach || value > upperQuartile + reach);
}
