/** Every task of a run on its lane: what waits for what becomes visible. */

import { isTargetOnDevice, type Span, type TaskKind, windowOfPasses } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';
import { formatCount, formatSeconds } from '../terminal/format.js';
import { createFigure, gridColor, label, mutedInk, type Titles, taskColors } from './theme.js';
import {
  type Bar,
  type BarRow,
  type BarWindow,
  type LaneRow,
  laneRowsOf,
  toBarRows,
} from './timeline-bars.js';

export interface LaneTimelineOptions extends Partial<Titles> {
  /** Stretch that is shown first, and task by task. @default two decode passes in the middle of the run */
  readonly window?: BarWindow;
  /** Bars in the whole figure. @default 3000, which draw within a second */
  readonly mostBars?: number;
}

const defaultMostBars = 3000;

/** `laneTimeline(result.spans)`, or the spans of a record's trace. */
export function laneTimeline(spans: readonly Span[], options: LaneTimelineOptions = {}): Figure {
  const { mostBars = defaultMostBars } = options;
  const whole = windowOf(spans);
  const window = options.window ?? middlePasses(spans) ?? whole;
  const rows = toBarRows(spans, window, mostBars);
  const places = placeRows(rows, laneRowsOf(spans));
  const kinds = (Object.keys(taskColors) as TaskKind[]).filter((kind) =>
    rows.some(({ bars }) => bars.some((bar) => bar.kind === kind)),
  );
  const traces = kinds.map((kind) => traceOf(kind, rows, places, window));
  return createFigure(
    {
      title: options.title ?? 'what each lane does',
      subtitle:
        options.subtitle ??
        `${formatCount(spans.length)} tasks in ${formatSeconds(whole.endSeconds - whole.startSeconds)}; drag to zoom, double-click to go back`,
    },
    traces,
    {
      barmode: 'overlay',
      xaxis: { title: { text: 'seconds' }, range: rangeOf(window), showgrid: false },
      yaxis: {
        ...{ tickvals: places.ticks.map(({ at }) => at), ticktext: places.ticks.map(({ name }) => name) },
        ...{
          range: [places.height - 0.1, -0.4],
          fixedrange: true,
          showgrid: false,
          ticks: '',
          showline: false,
        },
      },
      shapes: passLines(spans),
      updatemenus: [stretchButtons(spans, window, whole, places.height)],
      dragmode: 'zoom',
      hovermode: 'closest',
      bargap: 0,
      legend: { traceorder: 'normal' },
      height: heightOf(places.height),
    },
  );
}

function windowOf(spans: readonly Span[]): BarWindow {
  let startSeconds = Number.POSITIVE_INFINITY;
  let endSeconds = 0;
  for (const span of spans) {
    startSeconds = Math.min(startSeconds, span.startSeconds);
    endSeconds = Math.max(endSeconds, span.endSeconds);
  }
  return spans.length === 0 ? { startSeconds: 0, endSeconds: 1 } : { startSeconds, endSeconds };
}

function middlePasses(spans: readonly Span[]): BarWindow | null {
  const decode = spans.filter(
    (span) => span.phase === 'decode' && (isTargetOnDevice(span) || span.kind === 'draft'),
  );
  const passes = [...new Set(decode.map(({ pass }) => pass))].sort((a, b) => a - b);
  const middle = passes[Math.floor(passes.length / 2)];
  return middle === undefined ? null : windowOfPasses(decode, middle, middle + 1);
}

const rangeOf = ({ startSeconds, endSeconds }: BarWindow) => {
  const margin = 0.01 * (endSeconds - startSeconds);
  return [startSeconds - margin, endSeconds + margin];
};

/** Vertical places: a lane with several rows shares more room among them. */
interface Places {
  readonly centers: readonly number[];
  readonly heights: readonly number[];
  readonly ticks: readonly { readonly at: number; readonly name: string }[];
  readonly height: number;
}

function placeRows(rows: readonly BarRow[], laneRows: readonly LaneRow[]): Places {
  const centers: number[] = [];
  const heights: number[] = [];
  const ticks: { at: number; name: string }[] = [];
  let top = 0;
  for (const lane of laneRows) {
    const members = rows.filter((row) => row.lane === lane);
    if (members.length === 0) continue;
    const room = members.length === 1 ? 1 : Math.min(2.4, 0.45 * members.length);
    const each = (0.82 * room) / members.length;
    for (const { index } of members) {
      centers.push(top + (index + 0.5) * each);
      heights.push(each * (members.length === 1 ? 1 : 0.92));
    }
    ticks.push({ at: top + (members.length * each) / 2, name: lane });
    top += room;
  }
  return { centers, heights, ticks, height: top };
}

const pixelsPerRow = 54;
const heightOf = (rows: number) => 162 + pixelsPerRow * rows;

/** Bars of so many seconds are some ten pixels wide at first, so that an edge hides little of them. */
const edgeSeconds = ({ startSeconds, endSeconds }: BarWindow) => (endSeconds - startSeconds) / 100;

function traceOf(kind: TaskKind, rows: readonly BarRow[], { centers, heights }: Places, window: BarWindow) {
  const members = rows.flatMap(({ bars }, row) =>
    bars.filter((bar) => bar.kind === kind).map((bar) => ({ bar, row })),
  );
  return {
    ...{ type: 'bar', orientation: 'h', name: kind },
    base: members.map(({ bar }) => microseconds(bar.startSeconds)),
    x: members.map(({ bar }) => microseconds(bar.endSeconds - bar.startSeconds)),
    y: members.map(({ row }) => centers[row]),
    width: members.map(({ row }) => heights[row]),
    marker: {
      color: taskColors[kind],
      line: {
        color: 'white',
        width: members.map(({ bar }) => (bar.endSeconds - bar.startSeconds > edgeSeconds(window) ? 0.8 : 0)),
      },
    },
    hovertext: members.map(({ bar }) => label(bar.name)),
    customdata: members.map(({ bar }) => numbersOf(bar)),
    hovertemplate:
      '<b>%{hovertext}</b><br>%{customdata[0]:.3s}s, from %{base:.4f} s<br>%{customdata[1]:.3s}B, %{customdata[2]} rows, pass %{customdata[3]}<extra></extra>',
  };
}

const numbersOf = ({ startSeconds, endSeconds, bytes, rows, pass }: Bar) => [
  microseconds(endSeconds - startSeconds),
  bytes,
  rows,
  pass,
];

/** What a trace resolves; more digits would only fill the page. */
const microseconds = (seconds: number) => Math.round(seconds * 1e6) / 1e6;

/** More lines than this would be a grey wall. */
const mostPassLines = 200;

/** A thin line where the device begins a target pass. */
function passLines(spans: readonly Span[]) {
  const starts = new Map<number, number>();
  for (const span of spans) {
    const { pass, startSeconds } = span;
    if (isTargetOnDevice(span) && pass >= 0)
      starts.set(pass, Math.min(starts.get(pass) ?? Number.POSITIVE_INFINITY, startSeconds));
  }
  if (starts.size > mostPassLines) return [];
  return [...starts.values()].map((at) => ({
    ...{ type: 'line', layer: 'below', x0: at, x1: at, yref: 'paper', y0: 0, y1: 1 },
    line: { color: gridColor, width: 1.5 },
  }));
}

/** Buttons that zoom to the first window, a phase, or everything. */
function stretchButtons(spans: readonly Span[], window: BarWindow, whole: BarWindow, numRows: number) {
  const phases = (['prefill', 'decode'] as const).flatMap((phase) => {
    const members = spans.filter((span) => span.phase === phase);
    return members.length === 0 ? [] : [{ name: phase, stretch: windowOf(members) }];
  });
  const stretches = [{ name: 'detail', stretch: window }, ...phases, { name: 'whole run', stretch: whole }];
  return {
    ...{ type: 'buttons', direction: 'right', showactive: true, active: 0 },
    ...{ x: 1, xanchor: 'right', y: 1 + 52 / (pixelsPerRow * numRows), yanchor: 'bottom' },
    ...{ bgcolor: 'white', bordercolor: gridColor, font: { size: 12, color: mutedInk } },
    buttons: stretches.map(({ name, stretch }) => ({
      label: name,
      method: 'relayout',
      args: [{ 'xaxis.range': rangeOf(stretch) }],
    })),
  };
}
