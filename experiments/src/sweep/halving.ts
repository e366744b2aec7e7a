/**
 * Successive halving (Jamieson and Talwalkar, arXiv 1502.07943): all points run once, the better half goes on to twice
 * as many runs, and so on. From three runs on a point of the worse half is let go only when its runs, each paired with
 * the one of the last point kept from the same turn, are distinguishably worse.
 */

import { pairedRatio } from '../statistics/index.js';
import type { PointRecord } from '../store/index.js';
import type { Scores } from './ranking.js';

/** Runs after which points are compared: 1, 2, 4, … below `turns`. */
export function rungsOf(turns: number): number[] {
  const rungs: number[] = [];
  for (let rung = 1; rung < turns; rung *= 2) rungs.push(rung);
  return rungs;
}

/**
 * @param alive keys of the points that still run.
 * @param isKept points that others are compared with run to the end.
 * @returns keys of those that run no further.
 */
export function choosePruned(
  scores: Scores,
  alive: ReadonlySet<string>,
  lowerIsBetter: boolean,
  isKept: (axes: PointRecord['axes']) => boolean,
): string[] {
  const ranked = scores.rank(lowerIsBetter).filter(({ pointKey }) => alive.has(pointKey));
  const numKept = Math.ceil(ranked.length / 2);
  const last = ranked[numKept - 1];
  if (!last) return [];
  return ranked
    .slice(numKept)
    .flatMap(({ pointKey, axes }) =>
      !isKept(axes) && isWorse(scores, pointKey, last.pointKey, lowerIsBetter) ? [pointKey] : [],
    );
}

/** With fewer runs than an interval needs, the ranking alone decides: halving has many points to get through. */
function isWorse(scores: Scores, key: string, keptKey: string, lowerIsBetter: boolean): boolean {
  const pairs = scores.pairs(key, keptKey).filter(([value, kept]) => value > 0 && kept > 0);
  const { n, low, verdict } = pairedRatio(
    pairs.map(([value, baseline]) => ({ value, baseline })),
    { lowerIsBetter },
  );
  return n === 0 || low === null || verdict === 'slower';
}
