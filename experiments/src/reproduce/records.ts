/** Predictions in the record store, once each: the same prediction again finds its record there. */

import { join } from 'node:path';
import { buildSimulatedRecord, collectProvenance, earlierKeyOf, isStored, storeRun } from '../store/index.js';
import type { Prediction } from './predict.js';

const experiment = 'reproduce';

/** @returns stores a prediction under `<results>/reproduce/<key>/`. */
export async function createPredictionStore(
  results: string,
  signal: AbortSignal,
): Promise<(prediction: Prediction) => Promise<void>> {
  const provenance = await collectProvenance();
  return async ({ question, request, result }) => {
    const run = { request, result, workload: question.dataset, createdAt: new Date(), provenance };
    const first = buildSimulatedRecord(run, 0);
    const { spec: _, ...withoutSpec } = first; // as records were before there were specs
    if ([first.key, earlierKeyOf(withoutSpec)].some((key) => isStored(join(results, experiment, key))))
      return;
    const recordOf = (repeat: number) => buildSimulatedRecord(run, repeat);
    await storeRun(results, experiment, { recordOf, trace: null, tokens: null }, signal);
  };
}
