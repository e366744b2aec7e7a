/** Small multiples: figures side by side in one, under one title and one legend. */

import { largest } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';
import { createFigure, label, type Titles } from './theme.js';

export interface Panel {
  readonly title: string;
  /** With one pair of axes; its own title gives way to the panel's. */
  readonly figure: Figure;
}

export interface PanelsOptions extends Titles {
  /** @default 2 */
  readonly columns?: number;
  /** @default 300 */
  readonly rowHeight?: number;
  /** Whether all panels have one vertical scale. @default false */
  readonly sharesScale?: boolean;
}

type Cells = Readonly<Record<string, unknown>>;

/** Room between panels, and above all of them, in shares and in pixels. */
const columnGap = 0.07;
const rowGapPixels = 72;
const abovePixels = 118;
/** From the panels' upper edge to the legend: a panel's title lies between. */
const legendPixels = 22;
const belowPixels = 60;

/** `panels(datasets.map((dataset) => ({ title: dataset, figure: throughputBars(…) })), { title: 'Mixtral 8x7B' })` */
export function panels(all: readonly Panel[], options: PanelsOptions): Figure {
  const { columns = 2, rowHeight = 300, sharesScale = false, ...titles } = options;
  const numRows = Math.ceil(all.length / columns);
  const height = abovePixels + belowPixels + numRows * rowHeight + (numRows - 1) * rowGapPixels;
  const plotPixels = height - abovePixels - belowPixels;
  const rowGap = rowGapPixels / plotPixels;
  const named = new Set<string>();
  const traces: Cells[] = [];
  const axes: Record<string, unknown> = {};
  const annotations: Cells[] = [];
  const shapes: Cells[] = [];
  for (const [index, { title, figure }] of all.entries()) {
    const id = index === 0 ? '' : String(index + 1);
    const [column, row] = [index % columns, Math.floor(index / columns)];
    const isLowest = index + columns >= all.length;
    traces.push(...(figure.data as readonly Cells[]).map((trace) => placeTrace(trace, id, named)));
    axes[`xaxis${id}`] = {
      ...withTitle(figure.layout.xaxis as Cells, isLowest),
      ...{ domain: share(column, columns, columnGap), anchor: `y${id}` },
    };
    axes[`yaxis${id}`] = {
      ...withTitle(figure.layout.yaxis as Cells, column === 0),
      ...{ domain: share(numRows - 1 - row, numRows, rowGap), anchor: `x${id}` },
      ...(sharesScale && index > 0 ? { matches: 'y' } : {}),
    };
    annotations.push(panelTitle(title, id), ...moved(figure.layout.annotations, id));
    shapes.push(...moved(figure.layout.shapes, id));
  }
  const { barmode, hovermode } = (all[0]?.figure.layout ?? {}) as Cells;
  return createFigure(titles, traces, {
    ...axes,
    ...{ annotations, shapes, height, barmode, hovermode },
    margin: { t: abovePixels, b: belowPixels, ...rightMargin(all) },
    legend: { x: 0, y: 1 + legendPixels / plotPixels },
  });
}

/** As wide as the widest that a figure asks for, such as the room for numbers beside its lines. */
function rightMargin(all: readonly Panel[]): { r?: number } {
  const asked = all.flatMap(({ figure }) => (figure.layout.margin as { r?: number } | undefined)?.r ?? []);
  return asked.length === 0 ? {} : { r: largest(asked) };
}

/** Of so many equal parts with gaps between them, counted from below or from the left. */
function share(index: number, count: number, gap: number): [number, number] {
  const size = (1 - gap * (count - 1)) / count;
  const start = index * (size + gap);
  return [start, Math.min(1, start + size)];
}

/** On the panel's axes; one legend entry for all traces of a name. Mutates `named`. */
function placeTrace(trace: Cells, id: string, named: Set<string>): Cells {
  const { name, showlegend = true, legendgroup = name } = trace;
  const isNew = showlegend !== false && typeof name === 'string' && !named.has(name);
  if (isNew) named.add(name as string);
  return { ...trace, xaxis: `x${id}`, yaxis: `y${id}`, legendgroup, showlegend: isNew };
}

function withTitle(axis: Cells = {}, isShown: boolean): Cells {
  return isShown ? axis : { ...axis, title: { text: '' } };
}

function panelTitle(title: string, id: string): Cells {
  return {
    ...{ text: `<b>${label(title)}</b>`, showarrow: false, xref: `x${id} domain`, yref: `y${id} domain` },
    ...{ x: 0, y: 1, xanchor: 'left', yanchor: 'bottom', yshift: 4 },
  };
}

/** Annotations and shapes of a figure, now relative to its panel. */
function moved(items: unknown, id: string): Cells[] {
  const to = (axis: 'x' | 'y', ref: unknown = axis) =>
    ref === 'paper' ? `${axis}${id} domain` : `${axis}${id}`;
  return ((items ?? []) as readonly Cells[]).map((item) => ({
    ...item,
    xref: to('x', item.xref),
    yref: to('y', item.yref),
  }));
}
