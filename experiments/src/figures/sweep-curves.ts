/** A metric over one axis, one line per value of another, with intervals. */

import type { Figure } from '@specoffload/kernel';
import { scaleOf } from './axes.js';
import { byPanel } from './by-panel.js';
import { nameOfColumn, numberAxis } from './labels.js';
import {
  describeKinds,
  describeSummary,
  distinct,
  errorBars,
  type FigurePoint,
  type FigureRow,
  gatherPoints,
} from './points.js';
import { colorsFor, createFigure, hoverLines, label, type Titles } from './theme.js';

export interface SweepCurvesOptions extends Partial<Titles> {
  /** Column along the horizontal axis. */
  readonly x: string;
  /** Column whose values are lines. @default none, a single line */
  readonly series?: string;
  /** Column whose values get a figure each, side by side. @default none, a single figure */
  readonly panel?: string;
  /** @default tokensPerSecond */
  readonly metric?: string;
  /** Marks each line's best point. @default true */
  readonly marksBest?: boolean;
  readonly lowerIsBetter?: boolean;
}

/**
 * `sweepCurves(rows, { x: 'candidates', series: 'strategy', panel: 'acceptance' })`
 * @throws UserError where anything else varies among the rows: only runs of one point are taken together
 */
export function sweepCurves(rows: readonly FigureRow[], options: SweepCurvesOptions): Figure {
  const { x, series, metric = 'tokensPerSecond', marksBest = true, lowerIsBetter = false } = options;
  const titles = {
    title: options.title ?? `${nameOfColumn(metric)} over ${nameOfColumn(x)}`,
    ...(options.subtitle !== undefined && { subtitle: options.subtitle }),
  };
  if (options.panel !== undefined) {
    const { panel, subtitle: _, ...own } = options;
    const points = gatherPoints(rows, { x, series, metric, panel });
    const subtitle = describe(points, marksBest);
    return byPanel(rows, panel, { subtitle, ...titles }, (members) => sweepCurves(members, own));
  }
  const points = gatherPoints(rows, { x, series, metric });
  const names = distinct(points.map((point) => point.series));
  const kinds = distinct(points.map(({ kind }) => kind));
  const colors = colorsFor(names);
  const scale = scaleOf(x, distinct(points.map((point) => point.x!)));
  const traces = names.flatMap((name) =>
    kinds.flatMap((kind, i) => {
      const members = inOrder(
        points.filter((point) => point.series === name && point.kind === kind),
        scale.isNumeric ? scale.placeOf : undefined,
      );
      if (members.length === 0) return [];
      const color = colors.get(name)!;
      const best = marksBest ? bestOf(members, lowerIsBetter) : undefined;
      const title = [name, kinds.length > 1 ? kind : ''].filter(Boolean).join(', ') || kind;
      return {
        type: 'scatter',
        mode: 'lines+markers',
        name: label(title),
        showlegend: names.length * kinds.length > 1,
        x: members.map((point) => scale.placeOf(point.x!)),
        y: members.map(({ summary }) => summary.median),
        error_y: errorBars(members, color),
        line: { color, width: 2.2, dash: i === 0 ? 'solid' : 'dot' },
        marker: {
          color: members.map((point) => (point === best ? color : 'white')),
          size: members.map((point) => (point === best ? 10 : 7)),
          line: { color, width: 2 },
        },
        hovertext: members.map((point) =>
          hoverLines(title, `${nameOfColumn(x)}: ${point.x}`, describeSummary(point.summary)),
        ),
        hoverinfo: 'text',
      };
    }),
  );
  return createFigure(
    { subtitle: describe(points, marksBest && points.length > names.length), ...titles },
    traces,
    {
      xaxis: scale.layout,
      yaxis: { ...numberAxis(metric), rangemode: 'tozero' },
      hovermode: 'closest',
    },
  );
}

function describe(points: readonly FigurePoint[], isMarked: boolean): string {
  return `${describeKinds(points)}${isMarked ? '; the best of each line is filled' : ''}`;
}

function inOrder(
  points: readonly FigurePoint[],
  placeOf: ((value: string | number) => string | number) | undefined,
): readonly FigurePoint[] {
  if (placeOf === undefined) return points;
  return [...points].sort((a, b) => Number(placeOf(a.x!)) - Number(placeOf(b.x!)));
}

function bestOf(points: readonly FigurePoint[], lowerIsBetter: boolean): FigurePoint | undefined {
  if (points.length < 3) return undefined;
  const isBetter = (a: FigurePoint, b: FigurePoint) =>
    lowerIsBetter ? a.summary.median < b.summary.median : a.summary.median > b.summary.median;
  return points.reduce((best, point) => (isBetter(point, best) ? point : best));
}
