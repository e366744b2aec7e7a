/** Predictions held against runs that have been measured already and kept their timelines: nothing is measured again. */

import {
  type MachineModel,
  multipliedElements,
  parseMachineModel,
  simulateRun,
  speculates,
  UserError,
} from '@specoffload/engine';
import { type Comparison, deviationOf } from '../accuracy/compare.js';
import { pointNamed } from '../accuracy/grid.js';
import { judgeOwnPace } from '../accuracy/own-pace.js';
import { toPrediction } from '../job/execute.js';
import { displayPath } from '../paths.js';
import { buildMachineFile, type Timeline } from '../profile/machine-file.js';
import {
  type CounterpartSpec,
  type MeasuredRecord,
  type PointRecord,
  readPackedTrace,
  readRuns,
  type StoredRun,
  specOfCounterpart,
  unpackTrace,
} from '../store/index.js';
import type { Output } from '../terminal/output.js';
import { MeasuredAcceptances } from './measured-acceptance.js';
import { type MeasuredJob, openMeasuredJob } from './measured-job.js';
import { settingsToRun } from './planned-points.js';
import { Shelf } from './shelf.js';

export interface JudgeRequest {
  /** A store with runs of the experiment `prediction`. */
  readonly results: string;
  /** Whose rates predict; timelines: each run those of the others. */
  readonly machine: MachineModel | 'timelines';
  readonly output: Output;
  readonly signal: AbortSignal;
}

interface Measured {
  readonly record: MeasuredRecord;
  readonly point: PointRecord;
  readonly folder: string;
  readonly job: MeasuredJob;
}

/** @throws UserError where the store holds no such runs */
export async function judgeStored(
  request: JudgeRequest,
): Promise<readonly (Comparison & { readonly spec: CounterpartSpec })[]> {
  const { results, output, signal } = request;
  const shelf = new Shelf(output, signal);
  const onWarning = (sentence: string) => output.note(sentence);
  const stored = await readRuns({ results, experiment, kind: 'measured', onWarning, signal });
  if (stored.length === 0)
    throw new UserError(
      `there are no measured runs of ${experiment} in ${displayPath(results)}; measure them with specoffload sweep ${experiment} --traces --results DIR, or name another store by --stored`,
    );
  const runs: Measured[] = [];
  for (const { record, folder } of stored as StoredRun<MeasuredRecord>[]) {
    const { point } = record;
    if (point) runs.push({ record, point, folder, job: await openMeasuredJob(settingsToRun(point), shelf) });
  }
  const machineOf = await machinesFor(runs, request, shelf);
  const acceptances = new MeasuredAcceptances(
    runs.map(({ job }) => job),
    signal,
  );
  const comparisons: (Comparison & { readonly spec: CounterpartSpec })[] = [];
  for (const [index, { record, point, folder, job }] of runs.entries()) {
    signal.throwIfAborted();
    const { plan, spec } = job;
    const { axes } = point;
    const machine = machineOf(index);
    const acceptance = speculates(plan.strategy, plan.policy)
      ? await acceptances.of(job, folder, record.seed)
      : null;
    const routing = routingOfOthers(runs, index);
    const predictOn = (model: MachineModel) =>
      simulateRun({
        ...toPrediction(plan, model, acceptance),
        ...(routing && { routing }),
        ...{ seed: 1, signal },
      });
    const predicted = await predictOn(machine);
    const { result: measured, conditions = null } = record;
    comparisons.push({
      point: pointNamed(String(axes.situation), String(axes.policy)),
      ...{ measured, conditions, ...deviationOf(measured, predicted) },
      atOwnPace: await judgeOwnPace(measured, predicted, machine, predictOn),
      spec: specOfCounterpart(spec, machine),
    });
  }
  return comparisons;
}

const experiment = 'prediction';

/** Runs are dealt into so many groups; each is predicted by what the others show. */
const numGroups = 5;

async function machinesFor(
  runs: readonly Measured[],
  { machine, results }: JudgeRequest,
  shelf: Shelf,
): Promise<(index: number) => MachineModel> {
  if (machine !== 'timelines') return () => machine;
  const timelines: (Timeline | null)[] = [];
  for (const { record, folder } of runs) {
    const packed = await readPackedTrace(folder);
    timelines.push(packed && { ...timelineOf(record), spans: (await unpackTrace(folder, packed)).spans });
  }
  const draft = await shelf.checkpoint('draft', 'pair');
  const files = Array.from({ length: numGroups }, (_, group) => {
    const others = timelines.flatMap((timeline, index) =>
      timeline !== null && index % numGroups !== group ? [{ timeline, job: runs[index].job }] : [],
    );
    if (others.length === 0)
      throw new UserError(
        `no run in ${displayPath(results)} kept its timeline; measure with --traces, or name a machine file by --machine`,
      );
    const [{ job }] = others;
    const file = buildMachineFile(
      {
        ...{ name: 'stored', description: `out of ${others.length} stored timelines` },
        ...{ settings: job.plan.machine, specs: others.map((other) => other.job.spec) },
        ...{ diskBytes: 1e12, draftElements: multipliedElements(draft) },
      },
      others.map(({ timeline }) => timeline),
    );
    return parseMachineModel(file, 'the stored timelines');
  });
  return (index) => files[index % numGroups];
}

/** How many rows chose each expert in the other runs of the same target; null where none counted them. */
function routingOfOthers(runs: readonly Measured[], index: number): { rowsByExpert: number[][] } | null {
  const { target } = runs[index].job.spec.models;
  const sums: number[][] = [];
  for (const [other, { record, job }] of runs.entries()) {
    if (other === index || job.spec.models.target !== target) continue;
    for (const [layer, rows] of (record.result.routing?.rowsByExpert ?? []).entries())
      sums[layer] = rows.map((count, expert) => count + (sums[layer]?.[expert] ?? 0));
  }
  return sums.length > 0 ? { rowsByExpert: sums } : null;
}

function timelineOf({ policy, result }: MeasuredRecord): Omit<Timeline, 'spans'> {
  return { policy, phases: result.phases, device: { link: result.device?.link ?? 'none' } };
}
