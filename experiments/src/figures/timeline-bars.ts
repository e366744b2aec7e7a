/** From spans to the bars of a timeline: a row for each task at a time, and no more bars than a page can draw. */

import { lanesOf, largest, type Span, smallest, type TaskKind } from '@specoffload/engine';

export interface Bar {
  readonly kind: TaskKind;
  /** The task's name, or how many tasks of what kinds. */
  readonly name: string;
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** Moved or touched, together. */
  readonly bytes: number;
  readonly rows: number;
  readonly pass: number;
  readonly numTasks: number;
}

/** Bars that never overlap. */
export interface BarRow {
  readonly lane: LaneRow;
  /** 0-based among the rows of its lane. */
  readonly index: number;
  readonly bars: readonly Bar[];
}

/** A lane; the draft's share of the device has a row of its own. */
export type LaneRow = string;

export function laneRowsOf(spans: readonly Span[]): readonly LaneRow[] {
  return [...lanesOf(spans), 'draft'];
}

export interface BarWindow {
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/**
 * Inside the window task by task, as long as `mostBars` allow; outside of it, neighbours are drawn together. Seconds
 * that bars cover are those that tasks ran or waited for each other at most a bar's width apart.
 */
export function toBarRows(spans: readonly Span[], window: BarWindow, mostBars: number): BarRow[] {
  const rows = toRows(spans);
  const inside = rows.map((row) => row.filter((span) => overlaps(span, window)));
  const outside = rows.map((row) => row.filter((span) => !overlaps(span, window)));
  // The window is what a reader looks at first: it gets most of the bars.
  const detailed = clumpToFit(inside, Math.floor(0.7 * mostBars));
  const rest = clumpToFit(outside, mostBars - countBars(detailed));
  const numbers = new Map<LaneRow, number>();
  return rows.map((row, i) => {
    const lane = laneRowOf(row[0]);
    const index = numbers.get(lane) ?? 0;
    numbers.set(lane, index + 1);
    return {
      lane,
      index,
      bars: [...detailed[i], ...rest[i]].sort((a, b) => a.startSeconds - b.startSeconds),
    };
  });
}

const laneRowOf = ({ lane, kind }: Span): LaneRow => (kind === 'draft' ? 'draft' : lane);
const overlaps = (span: Span, window: BarWindow) =>
  span.startSeconds < window.endSeconds && window.startSeconds < span.endSeconds;
const countBars = (rows: readonly (readonly unknown[])[]) => rows.reduce((sum, row) => sum + row.length, 0);

/** Lanes in order; where tasks of a lane overlap, such as reads in flight, each takes the first row that is free. */
function toRows(spans: readonly Span[]): Span[][] {
  return laneRowsOf(spans).flatMap((lane) => {
    const rows: Span[][] = [];
    const sorted = spans
      .filter((span) => laneRowOf(span) === lane && span.endSeconds > span.startSeconds)
      .sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
    for (const span of sorted) {
      const free = rows.find((row) => row.at(-1)!.endSeconds <= span.startSeconds + 1e-9);
      if (free) free.push(span);
      else rows.push([span]);
    }
    return rows;
  });
}

/** Doubles the width below which neighbours go together until the bars are few enough. */
function clumpToFit(rows: readonly (readonly Span[])[], mostBars: number): Bar[][] {
  const ends = rows.flatMap((row) => (row.length === 0 ? [] : [row[0].startSeconds, row.at(-1)!.endSeconds]));
  const seconds = ends.length === 0 ? 0 : largest(ends) - smallest(ends);
  const leastBars = Math.max(mostBars, rows.length * 4);
  if (countBars(rows) <= leastBars) return rows.map((row) => row.map((span) => toBar([span])));
  for (let width = seconds / leastBars; ; width *= 2) {
    const clumped = rows.map((row) => clump(row, width));
    if (countBars(clumped) <= leastBars) return clumped.map((row) => row.map(toBar));
  }
}

/** Neighbours that begin within `width` seconds of the first one's start and leave no larger gap. */
function clump(row: readonly Span[], width: number): Span[][] {
  const groups: Span[][] = [];
  for (const span of row) {
    const group = groups.at(-1);
    const isNear =
      group !== undefined &&
      span.endSeconds - group[0].startSeconds <= width &&
      span.startSeconds - group.at(-1)!.endSeconds <= width / 4;
    if (isNear) group.push(span);
    else groups.push([span]);
  }
  return groups;
}

/** Of the kind that took most of the time. */
function toBar(group: readonly Span[]): Bar {
  const secondsByKind = new Map<TaskKind, number>();
  for (const { kind, startSeconds, endSeconds } of group)
    secondsByKind.set(kind, (secondsByKind.get(kind) ?? 0) + endSeconds - startSeconds);
  const kinds = [...secondsByKind].sort(([, a], [, b]) => b - a).map(([kind]) => kind);
  const sum = (field: 'bytes' | 'rows') => group.reduce((total, span) => total + span[field], 0);
  const [first] = group as [Span];
  return {
    kind: kinds[0],
    name: group.length === 1 ? first.name : `${group.length} tasks: ${kinds.join(', ')}`,
    startSeconds: first.startSeconds,
    endSeconds: group.at(-1)!.endSeconds,
    bytes: sum('bytes'),
    rows: sum('rows'),
    pass: first.pass,
    numTasks: group.length,
  };
}
