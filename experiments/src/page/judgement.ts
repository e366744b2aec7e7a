/** What a comparison with the baseline may be called. */

import type { RankedPoint, Verdict } from '../statistics/index.js';

/**
 * A prediction is exact for its seed: it needs no repeats to be faster or slower than another one. A single
 * measurement does.
 */
export function judge({ kind, overBaseline }: RankedPoint, lowerIsBetter: boolean): Verdict {
  const { ratio = null, verdict = 'not distinguishable', reason = null } = overBaseline ?? {};
  if (kind === 'measured' || reason !== 'too few repeats' || ratio === null || ratio === 1) return verdict;
  return ratio > 1 !== lowerIsBetter ? 'faster' : 'slower';
}

/** The same with why nothing was decided. */
export function describeJudgement(point: RankedPoint, lowerIsBetter: boolean): string {
  if (point.isBaseline) return 'baseline';
  if (point.overBaseline === null) return '';
  const verdict = judge(point, lowerIsBetter);
  const { reason } = point.overBaseline;
  return verdict === 'not distinguishable' && reason ? `${verdict}: ${reason}` : verdict;
}
