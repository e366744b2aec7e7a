/** What a comparison may be called: the one place where report, ranking and notebooks take their words from. */

import { leastValues } from './interval.js';
import type { RankedPoint } from './points.js';

/**
 * `faster`, `slower`, `not distinguishable: the interval holds 1`, or why there is no verdict: too few seeds of a
 * prediction, or repeats of a measurement, to know how far chance goes. Empty where nothing is compared.
 */
export function describeVerdict({
  kind,
  isBaseline,
  overBaseline,
}: Pick<RankedPoint, 'kind' | 'isBaseline' | 'overBaseline'>): string {
  if (isBaseline) return 'baseline';
  if (overBaseline === null) return '';
  const { verdict, reason, n } = overBaseline;
  if (reason === null) return verdict;
  if (verdict === 'not distinguishable') return `${verdict}: ${reason}`;
  return `${verdict}: ${describeTooFew(kind, n)}`;
}

/** Also for a ratio without an interval: `a prediction of one seed`. */
export function describeTooFew(kind: RankedPoint['kind'], numPairs: number): string {
  const needed = `${leastValues} are needed`;
  if (numPairs === 0) return kind === 'simulated' ? 'no seed in common' : 'no repeat in common';
  if (kind === 'simulated')
    return numPairs === 1 ? 'a prediction of one seed' : `a prediction of ${numPairs} seeds, ${needed}`;
  return numPairs === 1 ? `one run each, ${needed}` : `${numPairs} runs each, ${needed}`;
}
