/** The points of an experiment, compared: records of the same point are a sample, and points that differ in the baseline alone are pairs. */

import type { Random } from '@specoffload/engine';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { assertMetric, defaultMetric, measure } from '../definitions/metrics.js';
import { canonicalJson, type Json } from '../store/canonical.js';
import { type PointRecord, pointIdOf, pointOf, type RunRecord, turnIdOf } from '../store/index.js';
import { plural } from '../terminal/format.js';
import { type Pair, type PairedRatio, pairedRatio } from './paired-ratio.js';
import { describeSample, type SampleSummary } from './sample.js';
import { nameVaryingSettings } from './varying.js';

export interface RankOptions {
  /** Column of results, see `columns`. @default tokensPerSecond */
  readonly metric?: string;
  /** @default false */
  readonly lowerIsBetter?: boolean;
  /** Axis values that others are compared with; pairs share all other axes. @default nothing is compared */
  readonly baseline?: Readonly<Record<string, string | number>>;
  /** Of the bootstrap. @default a stream of its own for each sample */
  readonly random?: Random;
}

export interface RankedPoint {
  readonly experiment: string;
  readonly pointKey: string;
  readonly kind: RunRecord['kind'];
  readonly axes: PointRecord['axes'];
  /** Of the metric over repeats, and over seeds; of seeds alone in predictions, whose repeats are copies. */
  readonly sample: SampleSummary;
  /** Runs of the sample during which the machine did something else as well. */
  readonly numDisturbed: number;
  readonly isBaseline: boolean;
  /** Over the baseline with the same other axes; null for the baseline itself and where no such point was run. */
  readonly overBaseline: PairedRatio | null;
}

/**
 * Every point that some record belongs to, best first. Records that no experiment asked for, those without the metric,
 * and {@link supersededPoints} are left out. Where points have the same axes and other settings, as after a change of
 * the experiment's settings, these settings are axes too: see {@link nameVaryingSettings}.
 * @throws UserError when records have no such metric
 */
export function rank(records: readonly RunRecord[], options: RankOptions = {}): RankedPoint[] {
  const { metric = defaultMetric, lowerIsBetter = false } = options;
  assertMetric(metric);
  const points = gather(records, metric);
  const sign = lowerIsBetter ? 1 : -1;
  return comparePoints(points, options).sort((a, b) => sign * (a.sample.median - b.sample.median));
}

/**
 * Ids of the points of which another one asks for the same and was run later: by other code, with another machine file
 * or on another processor, which are those of today.
 */
export function supersededPoints(records: readonly RunRecord[]): ReadonlySet<string> {
  const latest = new Map<string, RunRecord>();
  const ids = new Set<string>();
  for (const record of nameVaryingSettings(records)) {
    const { kind, point } = record;
    if (point === undefined) continue;
    ids.add(pointIdOf(pointOf(record)));
    const axes = axesKey({ point, kind });
    const other = latest.get(axes);
    if (!other || record.createdAt >= other.createdAt) latest.set(axes, record);
  }
  for (const record of latest.values()) ids.delete(pointIdOf(pointOf(record)));
  return ids;
}

/** `3 points left out: …`. */
export function describeSuperseded(numPoints: number): string {
  return `${plural(numPoints, 'point')} left out: run again later with the same settings, by other code, with another machine file or on another processor`;
}

/** What an experiment's runs are judged by. */
export type Aimed = Pick<ExperimentDefinition, 'name' | 'metric' | 'lowerIsBetter' | 'baseline'>;

/** {@link rank} by the definition's own metric and baseline, of the records that it asked for. */
export function compareToBaseline(
  records: readonly RunRecord[],
  definition: Aimed,
  random?: Random,
): RankedPoint[] {
  const { name, metric, lowerIsBetter, baseline } = definition;
  const own = records.filter(({ point }) => point?.experiment === name);
  return rank(own, {
    ...(metric !== undefined && { metric }),
    ...(lowerIsBetter !== undefined && { lowerIsBetter }),
    ...(baseline && { baseline }),
    ...(random && { random }),
  });
}

/** Where a point stands among those of its experiment. */
export interface PlacedPoint {
  readonly point: PointRecord;
  readonly kind: RunRecord['kind'];
}

/** A point and its runs. */
export interface GatheredPoint extends PlacedPoint {
  /** By what makes a run the partner of another one: seed and repeat. */
  readonly runs: Map<string, { readonly value: number; readonly isDisturbed: boolean }>;
}

/** The points that an experiment asked for, each with its runs; records without the metric are left out. */
export function gatherPoints(
  records: readonly RunRecord[],
  { name, metric = defaultMetric }: Pick<Aimed, 'name' | 'metric'>,
): GatheredPoint[] {
  return gather(
    records.filter(({ point }) => point?.experiment === name),
    metric,
  );
}

function gather(records: readonly RunRecord[], metric: string): GatheredPoint[] {
  const points = new Map<string, GatheredPoint>();
  const superseded = supersededPoints(records);
  for (const record of nameVaryingSettings(records)) {
    const { kind, point } = record;
    const value = measure(record, metric);
    const pointId = pointIdOf(pointOf(record));
    if (point === undefined || value === null || superseded.has(pointId)) continue;
    const id = `${point.experiment}/${pointId}`;
    const gathered = points.get(id) ?? { point, kind, runs: new Map() };
    points.set(id, gathered);
    const isDisturbed = record.kind === 'measured' && record.conditions?.isDisturbed === true;
    gathered.runs.set(turnIdOf(record), { value, isDisturbed });
  }
  return [...points.values()];
}

/** A command line cannot tell the text 2024 from the number: there, either means what the axis has. */
export function isMeant(value: unknown, wanted: string | number): boolean {
  return value === wanted || (typeof value === 'string' && value === String(wanted));
}

function comparePoints(points: readonly GatheredPoint[], options: RankOptions): RankedPoint[] {
  const { baseline } = options;
  const isBaseline = ({ point }: GatheredPoint) =>
    baseline !== undefined &&
    Object.entries(baseline).every(([name, value]) => isMeant(point.axes[name], value));
  const baselines = new Map(points.filter(isBaseline).map((point) => [axesKey(point, baseline), point]));
  return points.map((point) => {
    const { experiment, pointKey, axes } = point.point;
    const runs = [...point.runs.values()];
    const partner = isBaseline(point) ? undefined : baselines.get(axesKey(point, baseline));
    return {
      ...{ experiment, pointKey, kind: point.kind, axes },
      sample: describeSample(
        runs.map(({ value }) => value),
        options.random,
      ),
      numDisturbed: runs.filter(({ isDisturbed }) => isDisturbed).length,
      isBaseline: isBaseline(point),
      overBaseline: partner === undefined ? null : pairedRatio(pairsOf(point, partner), options),
    };
  });
}

/** One spelling for equal axes; those of a baseline left out, for everything that it and its points have in common. */
export function axesKey({ point, kind }: PlacedPoint, baseline: RankOptions['baseline'] = {}): string {
  const others = Object.entries(point.axes).filter(([name]) => !Object.hasOwn(baseline, name));
  return canonicalJson([point.experiment, kind, Object.fromEntries(others) as Json]);
}

/** Repeats that only one of the two has are in its sample, and in no pair; nor is a zero, which has no ratio. */
export function pairsOf(point: GatheredPoint, partner: GatheredPoint): Pair[] {
  return [...point.runs].flatMap(([key, { value }]) => {
    const baseline = partner.runs.get(key)?.value;
    return baseline !== undefined && baseline > 0 && value > 0 ? [{ value, baseline }] : [];
  });
}
