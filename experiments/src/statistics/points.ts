/** The points of an experiment, compared: records of the same point are a sample, and points that differ in the baseline alone are pairs. */

import type { Random } from '@specoffload/engine';
import { canonicalJson, type Json } from '../store/canonical.js';
import type { PointRecord, RunRecord } from '../store/index.js';
import type { ExperimentDefinition } from '../sweep/definition.js';
import { assertMetric, defaultMetric, measure } from '../sweep/metrics.js';
import { type Pair, type PairedRatio, pairedRatio } from './paired-ratio.js';
import { describeSample, type SampleSummary } from './sample.js';

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
 * Every point that some record belongs to, best first. Records that no experiment asked for, and those without the
 * metric, are left out.
 * @throws UserError when records have no such metric
 */
export function rank(records: readonly RunRecord[], options: RankOptions = {}): RankedPoint[] {
  const { metric = defaultMetric, lowerIsBetter = false } = options;
  assertMetric(metric);
  const points = gatherPoints(records, metric);
  const sign = lowerIsBetter ? 1 : -1;
  return comparePoints(points, options).sort((a, b) => sign * (a.sample.median - b.sample.median));
}

/** {@link rank} by the definition's own metric and baseline, of the records that it asked for. */
export function compareToBaseline(
  records: readonly RunRecord[],
  definition: Pick<ExperimentDefinition, 'name' | 'metric' | 'lowerIsBetter' | 'baseline'>,
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

/** A point and its runs. */
interface Point {
  readonly point: PointRecord;
  readonly kind: RunRecord['kind'];
  /** By what makes a run the partner of another one: seed and repeat. */
  readonly runs: Map<string, { readonly value: number; readonly isDisturbed: boolean }>;
}

function gatherPoints(records: readonly RunRecord[], metric: string): Point[] {
  const points = new Map<string, Point>();
  for (const record of records) {
    const { kind, point } = record;
    const value = measure(record, metric);
    if (point === undefined || value === null) continue;
    const id = `${point.experiment}/${kind}/${point.pointKey}`;
    const gathered = points.get(id) ?? { point, kind, runs: new Map() };
    points.set(id, gathered);
    const isDisturbed = record.kind === 'measured' && record.conditions?.isDisturbed === true;
    gathered.runs.set(partnerKey(record), { value, isDisturbed });
  }
  return [...points.values()];
}

/** A prediction is the same however often it is made: its repeats are one run. */
function partnerKey({ kind, seed, repeat }: RunRecord): string {
  return kind === 'simulated' ? `${seed}` : `${seed}/${repeat}`;
}

function comparePoints(points: readonly Point[], options: RankOptions): RankedPoint[] {
  const { baseline } = options;
  const isBaseline = ({ point }: Point) =>
    baseline !== undefined && Object.entries(baseline).every(([name, value]) => point.axes[name] === value);
  const baselines = new Map(points.filter(isBaseline).map((point) => [othersKey(point, baseline), point]));
  return points.map((point) => {
    const { experiment, pointKey, axes } = point.point;
    const runs = [...point.runs.values()];
    const partner = isBaseline(point) ? undefined : baselines.get(othersKey(point, baseline));
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

/** One spelling for everything that a point and its baseline have in common. */
function othersKey({ point, kind }: Point, baseline: RankOptions['baseline'] = {}): string {
  const others = Object.entries(point.axes).filter(([name]) => !Object.hasOwn(baseline, name));
  return canonicalJson([point.experiment, kind, Object.fromEntries(others) as Json]);
}

/** Repeats that only one of the two has are in its sample, and in no pair; nor is a zero, which has no ratio. */
function pairsOf(point: Point, partner: Point): Pair[] {
  return [...point.runs].flatMap(([key, { value }]) => {
    const baseline = partner.runs.get(key)?.value;
    return baseline !== undefined && baseline > 0 && value > 0 ? [{ value, baseline }] : [];
  });
}
