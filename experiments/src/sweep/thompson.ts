/** A search by Thompson sampling: round by round, and what it believed, kept beside the records. */

import { join } from 'node:path';
import { writeWholeFile } from '@specoffload/input';
import { defaultMetric } from '../definitions/metrics.js';
import type { PointRecord } from '../store/index.js';
import type { Trials } from './adaptive.js';
import { Bandit, type Belief } from './bandit.js';

/** A point and what is believed of it. */
export interface BelievedPoint extends Belief {
  readonly axes: PointRecord['axes'];
}

/**
 * Runs that are stored already are not run again: the same seed chooses the same points, so a search goes on where it
 * was stopped.
 * @returns best first; points that were never run have the belief that all begin with, and come after the others
 */
export async function searchByThompson(trials: Trials): Promise<readonly BelievedPoint[]> {
  const { folder, arms, mustHalt, run, reachedBy } = trials;
  const { definition, turns } = trials.request;
  const { seed } = turns[0]!;
  const { bandit: settings = {}, lowerIsBetter = false, metric = defaultMetric } = definition;
  const bandit = new Bandit(arms.length, settings, lowerIsBetter, seed);
  const pulls = new Array<number>(arms.length).fill(0);
  const history: object[] = [];
  while (history.length < turns.length && !mustHalt()) {
    const arm = bandit.choose();
    if (arm === null) break;
    const [key] = await run(arm, [pulls[arm]!]);
    if (!key && mustHalt()) break;
    pulls[arm]! += 1;
    const value = key ? reachedBy(key) : null;
    if (value === null) bandit.drop(arm);
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
