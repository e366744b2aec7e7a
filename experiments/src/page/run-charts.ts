/** Figures of what happened inside the runs: acceptance, lanes, the device's time, prediction against measurement. */

import { inUsualOrder, largest, type PhaseName, smallest } from '@specoffload/engine';
import { triedAt } from '../figures/acceptance-by-position.js';
import {
  acceptanceByPosition,
  type DeviceTime,
  deviceTime,
  laneUtilisation,
  type PredictedPair,
  predictedVsMeasured,
} from '../figures/index.js';
import { canonicalJson, type Json } from '../store/canonical.js';
import { pointIdOf, pointOf } from '../store/index.js';
import { plural } from '../terminal/format.js';
import { type Chart, seriesAxis } from './charts.js';
import { bestPoint, cut, groupBy } from './slices.js';
import type { PageRun, Subject } from './subject.js';

const mostSeries = 10;

/** A run that stands for others: the best point's of everything that is compared. */
export interface Representative {
  readonly name: string;
  /** Repeats of one point. */
  readonly runs: readonly PageRun[];
}

/** Best points, one for each value of the axis that is compared, else of the strategies. */
export function representatives(subject: Subject): Representative[] {
  const axis = seriesAxis(subject);
  const isMixed = new Set(subject.runs.map(({ record }) => record.kind)).size > 1;
  const groups = groupBy(subject.runs, ({ record }) => {
    const value = axis ? String(record.point.axes[axis.name]) : record.strategy;
    return isMixed ? `${value}, ${record.kind}` : value;
  });
  return [...groups]
    .slice(0, mostSeries)
    .map(([name, runs]) => ({ name, runs: bestPoint(runs, subject) }))
    .filter(({ runs }) => runs.length > 0);
}

/**
 * A line for each value of what is compared, each of one point: what else varies is chosen from the list, or taken at
 * its best. Points of other rates must not be added up: the far positions would be those of the best rates alone.
 */
export function acceptanceCharts(subject: Subject): Chart[] {
  const speculating = subject.runs.filter(({ record }) => record.result.acceptance !== null);
  if (speculating.length === 0) return [];
  const axis = seriesAxis(subject);
  const isMixed = new Set(speculating.map(({ record }) => record.kind)).size > 1;
  const { slices, optimized } = cut({ ...subject, runs: speculating }, axis ? [axis] : []);
  const choices = slices.map(({ label, runs }) => {
    const points = [...groupBy(runs, ({ record }) => pointIdOf(pointOf(record))).values()];
    const series = points.slice(0, mostSeries).map((members) => {
      const { record } = members[0];
      const name = axis ? String(record.point.axes[axis.name]) : record.strategy;
      return { name: isMixed ? `${name}, ${record.kind}` : name, byPosition: sumPositions(members) };
    });
    return { label, figure: acceptanceByPosition(series, { subtitle: describePoints(points) }) };
  });
  const best = optimized.map(({ name }) => name).join(', ');
  return [{ heading: best === '' ? 'Acceptance' : `Acceptance, best ${best}`, choices }];
}

/** `simulated, 3 runs of each point`. */
function describePoints(points: readonly (readonly PageRun[])[]): string {
  const kinds = [...new Set(points.flatMap((runs) => runs.map(({ record }) => record.kind)))].join(' and ');
  const counts = points.map(({ length }) => length);
  const [least, most] = [smallest(counts), largest(counts)];
  const runs = least === most ? plural(most, 'run') : `${least} to ${most} runs`;
  return points.length === 1 ? `${kinds}, ${runs} of one point` : `${kinds}, ${runs} of each point`;
}

/** Of runs of one point. */
function sumPositions(runs: readonly PageRun[]) {
  const sums: { proposed: number; accepted: number; tried: number }[] = [];
  for (const { record } of runs) {
    const { byPosition } = record.result.acceptance!;
    for (const [position, { proposed, accepted }] of byPosition.entries()) {
      sums[position] ??= { proposed: 0, accepted: 0, tried: 0 };
      sums[position].proposed += proposed;
      sums[position].accepted += accepted;
      sums[position].tried += triedAt(byPosition, position);
    }
  }
  return sums;
}

/** The device's time and the lanes' shares, of both phases. */
export function laneCharts(subject: Subject): Chart[] {
  const chosen = representatives(subject);
  const note = (phase: PhaseName) =>
    `${phase}; ${[...new Set(chosen.flatMap(({ runs }) => runs.map(({ record }) => record.kind)))].join(' and ')}, the best point of each`;
  const phases = ['decode', 'prefill'] as const;
  return [
    {
      heading: 'Where the device’s time went',
      choices: phases.map((phase) => ({
        label: phase,
        figure: deviceTime(
          chosen.map((each) => toDeviceTime(each, phase)),
          { subtitle: note(phase) },
        ),
      })),
    },
    {
      heading: 'Lanes',
      choices: phases.map((phase) => ({
        label: phase,
        figure: laneUtilisation(
          chosen.map((each) => toLaneShares(each, phase)),
          { subtitle: note(phase) },
        ),
      })),
    },
  ];
}

/** Seconds of all repeats together. */
function toDeviceTime({ name, runs }: Representative, phase: PhaseName): DeviceTime {
  const phases = runs.map(({ record }) => record.result.phases[phase]);
  const sum = (of: (each: (typeof phases)[number]) => number) =>
    phases.reduce((total, each) => total + of(each), 0);
  const isExplained = phases.every(({ deviceIdle }) => deviceIdle !== undefined);
  return {
    name,
    seconds: sum(({ seconds }) => seconds),
    busySeconds: sum(({ lanes }) => lanes.device.busySeconds),
    idle: isExplained
      ? {
          weights: sum(({ deviceIdle }) => deviceIdle!.weights),
          attention: sum(({ deviceIdle }) => deviceIdle!.attention),
          draft: sum(({ deviceIdle }) => deviceIdle!.draft),
          nothing: sum(({ deviceIdle }) => deviceIdle!.nothing),
        }
      : undefined,
  };
}

function toLaneShares({ name, runs }: Representative, phase: PhaseName) {
  const phases = runs.map(({ record }) => record.result.phases[phase]);
  const seconds = phases.reduce((sum, each) => sum + each.seconds, 0);
  const share = (lane: string) =>
    seconds === 0 ? 0 : phases.reduce((sum, { lanes }) => sum + (lanes[lane]?.busySeconds ?? 0), 0) / seconds;
  const lanes = inUsualOrder(phases.flatMap((each) => Object.keys(each.lanes)));
  return { name, lanes: Object.fromEntries(lanes.map((lane) => [lane, share(lane)])) };
}

/** Points that were both predicted and measured. */
export function predictionCharts({ points, axes, metric }: Subject): Chart[] {
  const groups = groupBy(points, ({ axes: at }) => canonicalJson(at as Json));
  const pairs = [...groups.values()].flatMap((members): PredictedPair[] => {
    const predicted = members.find(({ kind }) => kind === 'simulated');
    const measured = members.find(({ kind }) => kind === 'measured');
    if (!predicted || !measured) return [];
    const [first, ...others] = axes.map(({ name }) => String(measured.axes[name]));
    return [
      {
        series: first ?? 'runs',
        name: others.join(', '),
        predicted: predicted.sample.median,
        measured: measured.sample.median,
      },
    ];
  });
  if (pairs.length === 0) return [];
  const unit = metric === 'tokensPerSecond' ? 'tokens/s' : metric;
  return [
    {
      heading: 'Predicted against measured',
      choices: [{ label: '', figure: predictedVsMeasured(pairs, { unit }) }],
    },
  ];
}
