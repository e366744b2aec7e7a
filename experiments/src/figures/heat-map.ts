/** A metric over two axes, darker where it is larger, the best cell framed. */

import { parseNumber, UserError } from '@specoffload/input';
import type { Figure } from '@specoffload/kernel';
import { tryParseBytes } from '../inputs/sizes.js';
import { formatValue, hoverFormatOf, nameOfColumn, numberStyleOf, titleOfColumn } from './labels.js';
import { describeKinds, describeSummary, distinct, type FigureRow, gatherPoints } from './points.js';
import { createFigure, hoverLines, ink, label, type Titles } from './theme.js';

export interface HeatMapOptions extends Partial<Titles> {
  readonly x: string;
  readonly y: string;
  /** @default tokensPerSecond */
  readonly metric?: string;
  readonly lowerIsBetter?: boolean;
}

/** One hue, light to dark: order is all that colour says here. */
const colorScale = [
  [0, '#f2f7fb'],
  [0.25, '#c3dcee'],
  [0.5, '#7fb6db'],
  [0.75, '#2f83b8'],
  [1, '#0b3c5d'],
];

/** More cells than this are not written into. */
const mostTexts = 150;

/**
 * `heatMap(rows, { x: 'candidates', y: 'decodeBatch' })`
 * @throws UserError where anything else varies among the rows: only runs of one point are taken together
 */
export function heatMap(rows: readonly FigureRow[], options: HeatMapOptions): Figure {
  const { x, y, metric = 'tokensPerSecond', lowerIsBetter = false } = options;
  const points = gatherPoints(rows, { x, series: y, metric });
  if (points.length === 0)
    throw new UserError(`no row has a number as its ${metric}; expected another metric, or other rows`);
  const columns = inOrder(distinct(points.map((point) => point.x!)));
  const lines = inOrder(distinct(points.map(({ series }) => series)));
  const find = (column: string | number, line: string | number) =>
    points.find((point) => point.x === column && point.series === line);
  const cells = lines.map((line) => columns.map((column) => find(column, line)));
  const best = points.reduce((a, b) => (lowerIsBetter === b.summary.median < a.summary.median ? b : a));
  const texts = columns.length * lines.length <= mostTexts;
  return createFigure(
    {
      title: options.title ?? `${nameOfColumn(metric)} over ${nameOfColumn(x)} and ${nameOfColumn(y)}`,
      subtitle: options.subtitle ?? `${describeKinds(points)}; the best is framed`,
    },
    [
      {
        type: 'heatmap',
        x: columns.map((column) => label(formatValue(x, column))),
        y: lines.map((line) => label(String(line))),
        z: cells.map((line) => line.map((point) => point?.summary.median ?? null)),
        text: cells.map((line) =>
          line.map((point) => (point ? hoverLines(describeSummary(point.summary)) : '')),
        ),
        hovertemplate: `${label(titleOfColumn(x))} %{x}<br>${label(titleOfColumn(y))} %{y}<br>%{text}<extra></extra>`,
        ...(texts ? { texttemplate: `%{z:${cellFormatOf(metric)}}` } : {}),
        colorscale: colorScale,
        colorbar: {
          title: { text: label(titleOfColumn(metric)), side: 'right' },
          outlinewidth: 0,
          thickness: 14,
        },
        ...{ xgap: 2, ygap: 2, hoverongaps: false },
      },
    ],
    {
      xaxis: { type: 'category', title: { text: label(titleOfColumn(x)) }, showgrid: false },
      yaxis: { type: 'category', title: { text: label(titleOfColumn(y)) }, showgrid: false },
      shapes: [frameAround(columns.indexOf(best.x!), lines.indexOf(best.series))],
      height: Math.max(380, Math.min(900, 190 + 36 * lines.length)),
    },
  );
}

const cellFormatOf = (metric: string) => (numberStyleOf(metric) === 'plain' ? '.3~r' : hoverFormatOf(metric));

/** Categories stand at 0, 1, 2, …, half a cell around each. */
function frameAround(column: number, line: number) {
  const [x0, x1, y0, y1] = [column - 0.5, column + 0.5, line - 0.5, line + 0.5];
  return { type: 'rect', x0, x1, y0, y1, line: { color: ink, width: 2.5 }, fillcolor: 'rgba(0,0,0,0)' };
}

/** Numbers and sizes by amount, other values as they came. */
function inOrder<Value extends string | number>(values: Value[]): Value[] {
  const amounts = new Map(values.map((value) => [value, amountOf(value)]));
  if ([...amounts.values()].some((amount) => amount === null)) return values;
  return values.sort((a, b) => amounts.get(a)! - amounts.get(b)!);
}

function amountOf(value: string | number): number | null {
  if (typeof value === 'number') return value;
  return parseNumber(value) ?? tryParseBytes(value);
}
