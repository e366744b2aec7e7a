/** Runs the points of a simulated experiment. */

import { defaultMetric } from '../definitions/metrics.js';
import { collectProvenance } from '../store/index.js';
import type { SweepRequest } from './options.js';
import { PointPlanner } from './planned-points.js';
import { createPredictionPool, type PredictionPool } from './pool.js';
import { openPlannedPrediction, openPredictedJob } from './predicted-job.js';
import type { PointRunner } from './runner.js';
import type { Shelf } from './shelf.js';

export function createPredictionPlanner(request: SweepRequest, shelf: Shelf): PointPlanner {
  return new PointPlanner(request, {
    specOf: async (settings) => (await openPredictedJob(settings, shelf)).spec,
    planRequestOf: (settings) => openPlannedPrediction(settings, shelf),
  });
}

export async function createPredictionRunner(request: SweepRequest, shelf: Shelf): Promise<PointRunner> {
  const { definition, results, keepsTraces, workers } = request;
  const setup = {
    ...{ results, keepsTraces, experiment: definition.name },
    metric: definition.metric ?? defaultMetric,
    provenance: await collectProvenance(),
  };
  // Threads start when there is something to predict: a sweep that is complete already starts none.
  let pool: PredictionPool | null = null;
  const open = () => {
    pool ??= createPredictionPool(setup, workers);
    return pool;
  };
  const planner = createPredictionPlanner(request, shelf);
  return {
    width: 2 * workers,
    settle: (point) => planner.settle(point),
    prepare: async () => {},
    run: async (location, turn) => planner.refusalOf(location.point) ?? open().run({ location, turn }),
    stop: () => pool?.stop(),
    close: async () => pool?.close(),
  };
}
