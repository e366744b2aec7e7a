/** Whether one thing is faster than another: ratios of runs that were made side by side. */

import { createRandom, type Random } from '@specoffload/engine';
import { medianSorted } from 'simple-statistics';
import { type Interval, medianInterval } from './interval.js';

/** `not distinguishable`: enough runs, and their interval holds 1. `no verdict`: too few runs to say anything. */
export type Verdict = 'faster' | 'slower' | 'not distinguishable' | 'no verdict';

export interface PairedRatio {
  /** Pairs. */
  readonly n: number;
  /** Median of value / baseline; null without a pair. */
  readonly ratio: number | null;
  /** 95 % interval of the ratio; null of fewer than 3 pairs. */
  readonly low: number | null;
  readonly high: number | null;
  readonly method: Interval['method'] | null;
  /** `faster` also where a metric that is better when lower is lower. */
  readonly verdict: Verdict;
  /** Why it is neither faster nor slower; null where it is. */
  readonly reason: 'no pairs' | 'too few repeats' | 'the interval holds 1' | null;
}

/** The same repeat of both, made one after the other: what slowed the machine down then slowed both. */
export interface Pair {
  readonly value: number;
  readonly baseline: number;
}

export interface PairedRatioOptions {
  /** Of a metric such as seconds. @default false */
  readonly lowerIsBetter?: boolean;
  /** Of the bootstrap. @default a stream of its own: equal pairs give equal intervals */
  readonly random?: Random;
}

/** Equal predictions may be summed in different orders. */
const rounding = 1e-9;

/** @throws RangeError for a value or baseline that is not positive: their ratio would mean nothing */
export function pairedRatio(pairs: readonly Pair[], options: PairedRatioOptions = {}): PairedRatio {
  const { lowerIsBetter = false, random = createRandom(1, 'bootstrap') } = options;
  const ratios = pairs.map(ratioOf).sort((a, b) => a - b);
  const n = ratios.length;
  if (n === 0) return { n, ratio: null, ...nothingToSay('no pairs') };
  const ratio = medianSorted(ratios);
  const interval = medianInterval(ratios, random);
  if (interval === null) return { n, ratio, ...nothingToSay('too few repeats') };
  if (interval.low <= 1 + rounding && 1 - rounding <= interval.high)
    return { n, ratio, ...interval, verdict: 'not distinguishable', reason: 'the interval holds 1' };
  const isFaster = interval.low > 1 !== lowerIsBetter;
  return { n, ratio, ...interval, verdict: isFaster ? 'faster' : 'slower', reason: null };
}

function nothingToSay(reason: NonNullable<PairedRatio['reason']>) {
  return { low: null, high: null, method: null, verdict: 'no verdict', reason } as const;
}

function ratioOf({ value, baseline }: Pair): number {
  for (const number of [value, baseline])
    if (!(0 < number && number < Number.POSITIVE_INFINITY))
      throw new RangeError(`invalid value: ${number}; expected a positive number, as ratios need`);
  return value / baseline;
}
