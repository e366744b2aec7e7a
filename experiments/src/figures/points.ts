/** Rows to points: runs of one and the same point become one median with its interval, and nothing else does. */

import { largest, smallest } from '@specoffload/engine';
import { describeSample, type SampleSummary } from '../statistics/index.js';
import { assertOnePoint, distinctRuns } from './one-point.js';

/** One run as a flat object: a store's `Row`, or any object with the same columns, such as a published number. */
export type FigureRow = Readonly<Record<string, unknown>>;

export interface FigurePoint {
  /** Value of the column on the horizontal axis; null where none was asked for. */
  readonly x: string | number | null;
  readonly series: string;
  /** `measured`, `simulated` or `published`. */
  readonly kind: string;
  readonly summary: SampleSummary;
  /** By what makes a run the partner of another point's; by place where rows do not say. */
  readonly byTurn: ReadonlyMap<string, number>;
}

export interface PointColumns {
  readonly x?: string | undefined;
  readonly series?: string | undefined;
  /** Tells figures side by side apart. */
  readonly panel?: string | undefined;
  readonly metric: string;
}

/**
 * In order of first appearance; rows whose metric is no number have no part.
 * @throws UserError where runs of different points would stand in one place: it names what varies among them
 */
export function gatherPoints(
  rows: readonly FigureRow[],
  { x, series, panel, metric }: PointColumns,
): FigurePoint[] {
  const groups = new Map<string, { point: Omit<FigurePoint, 'summary' | 'byTurn'>; rows: FigureRow[] }>();
  for (const row of rows) {
    if (!Number.isFinite(row[metric])) continue;
    const point = {
      x: x === undefined ? null : cellOf(row[x]),
      series: series === undefined ? '' : String(cellOf(row[series])),
      kind: kindOf(row),
    };
    const key = JSON.stringify([point, panel === undefined ? null : cellOf(row[panel])]);
    const group = groups.get(key) ?? { point, rows: [] };
    group.rows.push(row);
    groups.set(key, group);
  }
  const shown = [x, series, panel].filter((column) => column !== undefined);
  assertOnePoint(
    [...groups.values()].map(({ rows: members }) => members),
    shown,
    metric,
  );
  return [...groups.values()].map(({ point, rows: members }) => {
    const byTurn = new Map([...distinctRuns(members)].map(([turn, row]) => [turn, row[metric] as number]));
    return { ...point, summary: describeSample([...byTurn.values()]), byTurn };
  });
}

/** Lists are acceptance rates by position. */
export function cellOf(value: unknown): string | number {
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (value === null || value === undefined) return 'none';
  return Array.isArray(value) ? value.join(', ') : String(value);
}

export function kindOf(row: FigureRow): string {
  return typeof row.kind === 'string' ? row.kind : 'simulated';
}

/** `measured, median of 5 runs, 95 % intervals`: what a reader must know of where numbers come from. */
export function describeKinds(points: readonly FigurePoint[]): string {
  return distinct(points.map(({ kind }) => kind))
    .map((kind) => {
      const counts = points.filter((point) => point.kind === kind).map(({ summary }) => summary.n);
      const [least, most] = [smallest(counts), largest(counts)];
      if (most <= 1) return kind === 'simulated' ? 'simulated, one seed' : kind;
      const repeats = least === most ? `${most}` : `${least} to ${most}`;
      const hasIntervals = points.some((point) => point.kind === kind && point.summary.low !== null);
      const runs = kind === 'simulated' ? 'seeds' : 'runs';
      return `${kind}, median of ${repeats} ${runs}${hasIntervals ? ', 95 % intervals' : ''}`;
    })
    .join('; ');
}

export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** Plotly's error bars from intervals; where there is none, none is drawn. */
export function errorBars(points: readonly FigurePoint[], color: string): Readonly<Record<string, unknown>> {
  return {
    type: 'data',
    symmetric: false,
    array: points.map(({ summary }) => Math.max(0, (summary.high ?? summary.median) - summary.median)),
    arrayminus: points.map(({ summary }) => Math.max(0, summary.median - (summary.low ?? summary.median))),
    visible: points.some(({ summary }) => summary.low !== null),
    ...{ color, thickness: 1.4, width: 4 },
  };
}

/** `median 12.3, 95 % interval 12.1 to 12.6, 5 runs`, for hover texts. */
export function describeSummary({ n, median, low, high }: SampleSummary): string {
  const number = (value: number) => value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
  const interval = low === null || high === null ? '' : `, 95 % interval ${number(low)} to ${number(high)}`;
  return n === 1 ? number(median) : `median ${number(median)}${interval}, ${n} runs`;
}
