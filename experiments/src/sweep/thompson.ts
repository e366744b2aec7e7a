/** A search by Thompson sampling: round by round, and what it believed, kept beside the records. */

import { join } from 'node:path';
import { writeWholeFile } from '@specoffload/input';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { defaultMetric } from '../definitions/metrics.js';
import type { PointRecord } from '../store/index.js';
import { Bandit, type Belief } from './bandit.js';

/** A point and what is believed of it. */
export interface BelievedPoint extends Belief {
  readonly axes: PointRecord['axes'];
}

interface Search {
  readonly definition: ExperimentDefinition;
  /** Where the records are. */
  readonly folder: string;
  readonly arms: readonly PointRecord[];
  readonly rounds: number;
  readonly seed: number;
  readonly mustHalt: () => boolean;
  /**
   * @param pull how often the point was run before
   * @returns what the run reached; null where it has no such number, undefined where it could not be run
   */
  readonly run: (arm: number, pull: number) => Promise<number | null | undefined>;
}

/**
 * Runs that are stored already are not run again: the same seed chooses the same points, so a search goes on where it
 * was stopped.
 * @returns best first; points that were never run have the belief that all begin with, and come after the others
 */
export async function searchByThompson(search: Search): Promise<readonly BelievedPoint[]> {
  const { definition, folder, arms, rounds, seed, mustHalt, run } = search;
  const { bandit: settings = {}, lowerIsBetter = false, metric = defaultMetric } = definition;
  const bandit = new Bandit(arms.length, settings, lowerIsBetter, seed);
  const pulls = new Array<number>(arms.length).fill(0);
  const history: object[] = [];
  while (history.length < rounds && !mustHalt()) {
    const arm = bandit.choose();
    if (arm === null) break;
    const value = await run(arm, pulls[arm]!);
    if (value === undefined && mustHalt()) break;
    pulls[arm]! += 1;
    if (value === undefined || value === null) bandit.drop(arm);
    else {
      bandit.learn(arm, value);
      history.push({ axes: arms[arm]!.axes, value, belief: bandit.beliefs[arm] });
    }
  }
  const believed = bandit.beliefs
    .map((belief, arm): BelievedPoint => ({ axes: arms[arm]!.axes, ...belief }))
    .sort(
      (a, b) => Number(b.pulls > 0) - Number(a.pulls > 0) || (lowerIsBetter ? 1 : -1) * (a.mean - b.mean),
    );
  const content = { metric, lowerIsBetter, seed, settings, beliefs: believed, rounds: history };
  await writeWholeFile(join(folder, 'beliefs.json'), `${JSON.stringify(content, null, 1)}\n`);
  return believed;
}
