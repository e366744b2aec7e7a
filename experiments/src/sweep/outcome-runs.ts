/** The records behind a sweep's outcome, whatever else lies under the experiment's name. */

import { basename, dirname } from 'node:path';
import { type RunRecord, readRuns, type StoredRun } from '../store/index.js';
import type { SweepOutcome } from './outcome.js';

/**
 * Runs of the points that the sweep asked for, those of earlier sessions too, oldest first. What the same name was asked
 * for with other settings is left out.
 *
 * `toRows(await readOutcome(await runExperiment(definition)))`
 * @param kind @default as the experiment's own: predictions beside measurements are left out
 */
export async function readOutcome(
  { folder, ranking, kind: own }: Pick<SweepOutcome, 'folder' | 'ranking' | 'kind'>,
  kind: RunRecord['kind'] = own,
): Promise<StoredRun[]> {
  const asked = new Set(ranking.map(({ pointKey }) => pointKey));
  const runs = await readRuns({ results: dirname(folder), experiment: basename(folder), kind });
  return runs.filter(({ record }) => asked.has(record.point?.pointKey ?? ''));
}
