/** Searches that choose what to run next by what came of the runs before. */

import type { PointRecord } from '../store/index.js';
import { type SearchReport, searchByBayes } from './bayesian/bayesian.js';
import type { SweepRequest } from './options.js';
import type { Shelf } from './shelf.js';
import { type BelievedPoint, searchByThompson } from './thompson.js';

/** What such a search needs of a sweep. */
export interface Trials {
  readonly request: SweepRequest;
  readonly shelf: Shelf;
  /** Where the records are. */
  readonly folder: string;
  readonly arms: readonly PointRecord[];
  readonly mustHalt: () => boolean;
  /**
   * Runs what is missing of some turns of a point.
   * @returns keys of the runs; null of one that could not be run, or not any more
   */
  readonly run: (arm: number, turns: readonly number[]) => Promise<readonly (string | null)[]>;
  /** Of a stored run; null where it has no such number. */
  readonly reachedBy: (key: string) => number | null;
}

export interface Findings {
  /** Of Thompson sampling, best first; else nothing. */
  readonly beliefs: readonly BelievedPoint[];
  /** Of a Bayesian search; else null. */
  readonly search: SearchReport | null;
}

export const noFindings: Findings = { beliefs: [], search: null };

export const isAdaptive = ({ search }: Pick<SweepRequest, 'search'>) =>
  search === 'thompson' || search === 'bayesian';

/** Runs that are going to be asked for, at most. */
export function plannedRuns(request: SweepRequest, numPoints: number): number {
  const { search, turns } = request;
  return search === 'thompson' ? turns.length : turns.length * roundsOf(request, numPoints);
}

export async function searchAdaptively(trials: Trials): Promise<Findings> {
  const { request, arms } = trials;
  if (request.search === 'thompson') return { ...noFindings, beliefs: await searchByThompson(trials) };
  return { ...noFindings, search: await searchByBayes(trials, roundsOf(request, arms.length)) };
}

/** A tenth of the points; of few, as many as tell what each axis does. */
function roundsOf({ rounds, definition }: SweepRequest, numPoints: number): number {
  const fewest = Object.values(definition.axes).filter(({ length }) => length > 1).length + 1;
  return Math.min(numPoints, rounds ?? Math.max(Math.floor(numPoints / 10), fewest));
}
