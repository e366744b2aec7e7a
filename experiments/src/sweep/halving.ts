/**
 * Successive halving (Jamieson and Talwalkar, arXiv 1502.07943): all points run once, the better half goes on to twice
 * as many runs, and so on. A point is let go only when it is worse than the last one kept in every run that both had
 * in the same turn, so that one disturbed run prunes nothing that a second one would have kept.
 */

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
  const isWorse = ([value, kept]: readonly [number, number]) => (lowerIsBetter ? value > kept : value < kept);
  return ranked.slice(numKept).flatMap(({ pointKey, axes }) => {
    const pairs = scores.pairs(pointKey, last.pointKey);
    return !isKept(axes) && pairs.every(isWorse) ? [pointKey] : [];
  });
}
