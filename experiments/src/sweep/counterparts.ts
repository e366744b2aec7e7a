/** Predictions of measured points: the same job on a machine file, with the acceptance that its own texts show. */

import { simulateRun, speculates, UserError } from '@specoffload/engine';
import { describeAxes, type Point } from '../definitions/expand.js';
import { toPrediction } from '../job/execute.js';
import {
  buildSimulatedRecord,
  type CounterpartSpec,
  collectProvenance,
  openRun,
  type PointRecord,
  type RunLocation,
  specOfCounterpart,
  storeRunAs,
} from '../store/index.js';
import { locatePoint, locateRun } from './locate.js';
import { MeasuredAcceptances } from './measured-acceptance.js';
import { type MeasuredJob, openMeasuredJob } from './measured-job.js';
import type { SweepRequest } from './options.js';
import { settingsToRun } from './planned-points.js';
import type { Shelf } from './shelf.js';

/** A point that has been measured, and the folder of one of its records. */
export interface MeasuredPoint {
  readonly point: PointRecord;
  readonly folder: string;
  /** Of that record. */
  readonly seed: number;
}

/**
 * Stores a prediction beside the records of every measured point that has none yet.
 * @param hasRun whether a run of that key is in the store.
 * @returns how many were stored.
 */
export async function predictMeasured(
  request: SweepRequest,
  shelf: Shelf,
  points: readonly MeasuredPoint[],
  hasRun: (key: string) => boolean,
): Promise<number> {
  const { definition, results, output, signal } = request;
  const machine = await shelf.machine(definition.predictOn!);
  const missing: Counterpart[] = [];
  for (const measured of points) {
    const job = await openMeasuredJob(settingsToRun(measured.point), shelf);
    const spec = specOfCounterpart(job.spec, machine);
    const { point } = measured;
    const location = locateRun(
      locatePoint(definition.name, point as Point, spec, point.definition),
      counterpartTurn,
    );
    const { folder, seed } = measured;
    if (!hasRun(location.key)) missing.push({ job, spec, location, folder, seed });
  }
  if (missing.length === 0) return 0;
  output.note(
    `${definition.name}: recording what the draft gets right, then predicting ${missing.length} points`,
  );
  const provenance = await collectProvenance();
  const acceptances = new MeasuredAcceptances(
    missing.map(({ job }) => job),
    signal,
  );
  let stored = 0;
  for (const { job, spec, location, folder, seed } of missing) {
    signal.throwIfAborted();
    const { plan } = job;
    shelf.noteForeignCaps(machine, plan.machine.caps);
    const acceptance = speculates(plan.strategy, plan.policy)
      ? await acceptances.of(job, folder, seed)
      : null;
    // What is brought when the router has chosen is what the run's own router chose.
    const { policy, result: measured } = openRun(folder).record;
    const prediction = {
      ...{ ...toPrediction(plan, machine, acceptance), seed: counterpartTurn.seed, signal },
      routing: policy.experts === 'routed' ? measured.routing : undefined,
    };
    try {
      const createdAt = new Date();
      const result = await simulateRun(prediction);
      const run = {
        spec,
        request: prediction,
        result,
        workload: plan.workload.name,
        createdAt,
        provenance,
        location,
      };
      const record = buildSimulatedRecord(run, counterpartTurn.repeat);
      if (await storeRunAs(results, definition.name, record, { trace: null, tokens: null })) stored += 1;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      output.note(
        `${definition.name}: no prediction of ${describeAxes(location.point.axes)}: ${error.message}`,
      );
    }
  }
  return stored;
}

interface Counterpart {
  readonly job: MeasuredJob;
  readonly spec: CounterpartSpec;
  readonly location: RunLocation;
  /** Of a record whose tokens the draft is held against. */
  readonly folder: string;
  /** Of that record. */
  readonly seed: number;
}

const counterpartTurn = { seed: 1, repeat: 0 } as const;
