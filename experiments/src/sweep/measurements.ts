/** Runs the points of a measured experiment, one at a time, alone on the machine. */

import { UserError } from '@specoffload/engine';
import { reasonOf } from '@specoffload/input';
import { describeAxes } from '../definitions/expand.js';
import { defaultMetric, measure } from '../definitions/metrics.js';
import { watchConditions } from '../job/conditions.js';
import { type JobPlan, runPlan, sideFilesOf, toMeasuredRun } from '../job/execute.js';
import type { PointRecord, Turn } from '../store/index.js';
import { buildRecord, collectProvenance, type RunLocation, storeRunAs } from '../store/index.js';
import { lockMachine, type MachineLock } from './machine-lock.js';
import { type MeasuredJob, openMeasuredJob, openPlannedMeasurement } from './measured-job.js';
import { openAsked } from './open-asked.js';
import type { SweepRequest } from './options.js';
import { PointPlanner, settingsToRun } from './planned-points.js';
import type { PointRunner } from './runner.js';
import type { Shelf } from './shelf.js';
import type { RunEnd } from './worker.js';

/** What of a sweep its measurements need. */
export type MeasurementRequest = Pick<SweepRequest, 'results' | 'output' | 'signal' | 'warmups'> & {
  readonly definition: Pick<SweepRequest['definition'], 'name' | 'metric' | 'predictOn'>;
  /** @default one for all users of this machine */
  readonly lockPath?: string;
};

export function createMeasurementPlanner(request: MeasurementRequest, shelf: Shelf): PointPlanner {
  return new PointPlanner(request, {
    specOf: async (settings) => (await openMeasuredJob(settings, shelf)).spec,
    planRequestOf: (settings) =>
      openPlannedMeasurement(settings, shelf, request.definition.predictOn ?? 'this'),
  });
}

export async function createMeasurementRunner(
  request: MeasurementRequest,
  shelf: Shelf,
): Promise<PointRunner> {
  const { definition, output, signal, warmups } = request;
  const { metric = defaultMetric } = definition;
  const provenance = await collectProvenance();
  const planner = createMeasurementPlanner(request, shelf);
  let lock: MachineLock | null = null;
  return {
    width: 1,
    settle: (point) => planner.settle(point),
    async prepare(first) {
      lock = await lockMachine({
        ...(request.lockPath === undefined ? {} : { path: request.lockPath }),
        onWait: (pid) =>
          output.note(`${definition.name}: process ${pid} is measuring on this machine; waiting for its end`),
        signal,
      });
      for (let warmup = 0; warmup < warmups; warmup += 1) await warmUp(first);
    },
    run,
    stop: () => {},
    close: async () => lock?.release(),
  };

  /** A run whose result is dropped. If it fails, the point fails again when it is measured, and is reported then. */
  async function warmUp(point: PointRecord): Promise<void> {
    output.note(`${definition.name}: warming up, ${describeAxes(point.axes)}`);
    const { plan } = await openMeasuredJob(settingsToRun(point), shelf);
    await runPlan(plan, signal).catch(() => {});
    signal.throwIfAborted();
  }

  async function run(location: RunLocation, turn: Turn): Promise<RunEnd> {
    const refusal = planner.refusalOf(location.point);
    if (refusal) return refusal;
    const settings = settingsToRun(location.point);
    let job: MeasuredJob;
    try {
      job = await openAsked(location, turn, () => openMeasuredJob(settings, shelf));
    } catch (error) {
      if (signal.aborted) return { end: 'stopped' };
      return { end: 'failed', message: reasonOf(error), isForeign: true };
    }
    const plan: JobPlan = { ...job.plan, seed: turn.seed };
    const createdAt = new Date();
    const watch = watchConditions();
    let result: Awaited<ReturnType<typeof runPlan>>;
    try {
      result = await runPlan(plan, signal);
    } catch (error) {
      if (signal.aborted) return { end: 'stopped' };
      if (error instanceof UserError) return { end: 'refused', reason: error.message };
      throw error;
    }
    const conditions = await watch.stop();
    const run = { ...toMeasuredRun(plan, { result, createdAt, provenance }), conditions, location };
    const record = buildRecord(run, turn.repeat);
    try {
      const files = sideFilesOf(plan, result);
      const isNew = await storeRunAs(request.results, definition.name, record, files);
      return isNew
        ? { end: 'stored', value: measure(record, metric), isDisturbed: conditions?.isDisturbed ?? false }
        : { end: 'known' };
    } catch (error) {
      if (error instanceof UserError) return { end: 'unstorable', reason: error.message };
      throw error;
    }
  }
}
