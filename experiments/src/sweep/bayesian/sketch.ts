/** What a point can be expected to reach before it is run: predictions by the closed form, measurements by the simulator. */

import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import {
  closedForm,
  type MachineModel,
  type PhaseName,
  phaseNames,
  placeContender,
  predictEnergy,
  simulateRun,
} from '@specoffload/engine';
import { measure } from '../../definitions/metrics.js';
import { usualAcceptance } from '../../inputs/usual-acceptance.js';
import { toPrediction } from '../../job/execute.js';
import { localMachinePath } from '../../paths.js';
import {
  buildSimulatedRecord,
  collectProvenance,
  type PointRecord,
  type RunRecord,
  specOfCounterpart,
} from '../../store/index.js';
import { unlessRefused } from '../../terminal/errors.js';
import { plural } from '../../terminal/format.js';
import { openMeasuredJob } from '../measured-job.js';
import type { SweepRequest } from '../options.js';
import { settingsToRun } from '../planned-points.js';
import { openPredictedJob } from '../predicted-job.js';
import type { Shelf } from '../shelf.js';

/** Of a point, as far as it can be told. */
type Sketch = (metric: string) => number | null;

/** More points than this take longer to look at than a search by itself takes. */
const mostSketches = 20_000;

/** So many points between two looks at whatever else the process has to do. */
const pointsPerTurn = 50;

/** From so many points on it takes long enough to be said. */
const manyPoints = 300;

/**
 * @returns (points, metrics), null of what cannot be told, or of a point that no run can serve; null where nothing
 * tells: nobody has profiled this machine, or there are too many points
 */
export async function sketchPoints(
  { definition, signal, output }: Pick<SweepRequest, 'definition' | 'signal' | 'output'>,
  points: readonly PointRecord[],
  metrics: readonly string[],
  shelf: Shelf,
): Promise<readonly (readonly (number | null)[])[] | null> {
  if (points.length > mostSketches) return null;
  const sketch = definition.kind === 'simulated' ? sketchPrediction : await createMeasurementSketch();
  if (sketch === null) return null;
  if (points.length >= manyPoints)
    output.note(`${definition.name}: sketching ${plural(points.length, 'point')} before any is run`);
  const sketches: (number | null)[][] = [];
  for (const [index, point] of points.entries()) {
    if (index % pointsPerTurn === 0) await setImmediate();
    signal.throwIfAborted();
    const told = await unlessRefused(() => sketch(point, shelf));
    sketches.push(metrics.map((metric) => told?.(metric) ?? null));
  }
  return sketches;

  async function createMeasurementSketch() {
    const name = definition.predictOn ?? 'this';
    if (name === 'this' && !existsSync(localMachinePath)) return null;
    const machine = await unlessRefused(() => shelf.machine(name));
    const provenance = await collectProvenance();
    return machine && ((point: PointRecord) => sketchMeasurement(point, machine, provenance));
  }

  async function sketchMeasurement(
    point: PointRecord,
    machine: MachineModel,
    provenance: Awaited<ReturnType<typeof collectProvenance>>,
  ): Promise<Sketch> {
    const { plan, spec } = await openMeasuredJob(settingsToRun(point), shelf);
    const acceptance = usualAcceptance(plan.drafter, plan.workload.name, plan.maxNewTokens);
    const request = { ...toPrediction(plan, machine, acceptance), seed: 1, signal };
    const result = await simulateRun(request);
    const run = {
      ...{ spec: specOfCounterpart(spec, machine), request, result, workload: plan.workload.name },
      ...{ createdAt: new Date(), provenance, location: { key: point.pointKey, point } },
    };
    const record = buildSimulatedRecord(run, 0);
    return (metric) => measure(record, metric);
  }
}

async function sketchPrediction(point: PointRecord, shelf: Shelf): Promise<Sketch> {
  const { request, spec } = await openPredictedJob(settingsToRun(point), shelf);
  const { machine, promptLengths, maxNewTokens, strategy, policy = {} } = request;
  const acceptance = request.acceptance ?? null;
  const prepared = placeContender({ ...request, acceptance }, { strategy, policy });
  const form = closedForm({ prepared, promptLengths, maxNewTokens, machine, acceptance });
  const { seconds, newTokens } = form;
  const lanesOf = (phase: PhaseName) =>
    Object.fromEntries(
      machine.lanes.map((lane) => {
        const busySeconds = form.phases[phase].lanes[lane.name];
        const bytes = 'bytesPerSecond' in lane ? busySeconds * lane.bytesPerSecond : 0;
        return [lane.name, { busySeconds, bytes, utilization: busySeconds / form.phases[phase].seconds }];
      }),
    );
  const phases = Object.fromEntries(
    phaseNames.map((phase) => [phase, { seconds: form.phases[phase].seconds, lanes: lanesOf(phase) }]),
  );
  // As much of a record as a closed form can tell: a metric that needs more has no sketch.
  const record = {
    ...{ kind: 'simulated', spec, point, policy: prepared.policy },
    workload: { prompts: promptLengths.length },
    result: {
      ...{ seconds, newTokens, generatedTokens: newTokens, tokensPerSecond: newTokens / seconds, phases },
      energy: predictEnergy(machine, phases as never, newTokens),
      memory: Object.fromEntries(
        Object.entries(prepared.plan.pools).map(([name, { totalBytes }]) => [
          name,
          { peakBytes: totalBytes },
        ]),
      ),
    },
  } as unknown as RunRecord;
  return (metric) => measure(record, metric);
}
