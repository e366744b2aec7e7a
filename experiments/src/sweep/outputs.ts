/** What is looked at once all measured runs are there: whether they wrote the same, and what was to be expected. */

import { UserError } from '@specoffload/input';
import { openRun } from '../store/index.js';
import { type Agreement, AgreementCheck } from './agreement.js';
import { type MeasuredPoint, predictMeasured } from './counterparts.js';
import type { SweepRequest } from './options.js';
import type { Shelf } from './shelf.js';

/**
 * Holds the output of all measured runs against each other, and predicts their points where that is asked for.
 * @param hasRun whether a run of that key is in the store.
 */
export async function compareOutputs(
  request: SweepRequest,
  shelf: Shelf,
  runs: AsyncIterable<Omit<MeasuredPoint, 'seed'>>,
  hasRun: (key: string) => boolean,
): Promise<Agreement> {
  const check = new AgreementCheck();
  const measured = new Map<string, MeasuredPoint>();
  for await (const { point, folder } of runs)
    try {
      const { record } = openRun(folder);
      if (record.kind !== 'measured') continue;
      await check.add({ record, folder });
      measured.set(point.pointKey, { point, folder, seed: record.seed });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      request.output.note(error.message);
    }
  if (request.definition.predictOn !== undefined)
    await predictMeasured(request, shelf, [...measured.values()], hasRun);
  return check.result;
}
