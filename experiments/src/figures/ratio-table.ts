/** Ratios to a baseline with their intervals, one line each: right of 1 is better, an interval over 1 decides nothing. */

import type { Figure } from '@specoffload/kernel';
import type { Verdict } from '../statistics/index.js';
import { logAxis } from './axes.js';
import { createFigure, hoverLines, label, mutedInk, type Titles } from './theme.js';

export interface RatioLine {
  readonly name: string;
  readonly ratio: number;
  /** 95 % interval; null where there were too few runs. */
  readonly low: number | null;
  readonly high: number | null;
  readonly verdict: Verdict;
}

const verdictColors: Readonly<Record<Verdict, string>> = {
  faster: '#0072b2',
  slower: '#d55e00',
  'not distinguishable': '#8a94a3',
  'no verdict': '#c3cad4',
};

/** `ratioTable([{ name: 'serial', ratio: 2.05, low: 1.98, high: 2.12, verdict: 'faster' }])` */
export function ratioTable(lines: readonly RatioLine[], titles: Partial<Titles> = {}): Figure {
  const traces = (Object.keys(verdictColors) as Verdict[]).flatMap((verdict) => {
    const members = lines.filter((line) => line.verdict === verdict);
    if (members.length === 0) return [];
    const color = verdictColors[verdict];
    return {
      ...{ type: 'scatter', mode: 'markers', name: verdict, hoverinfo: 'text' },
      x: members.map(({ ratio }) => ratio),
      y: members.map(({ name }) => label(name)),
      error_x: {
        ...{ type: 'data', symmetric: false, color, thickness: 2, width: 5 },
        array: members.map(({ ratio, high }) => (high === null ? 0 : high - ratio)),
        arrayminus: members.map(({ ratio, low }) => (low === null ? 0 : ratio - low)),
      },
      marker: { color, size: 10, symbol: 'diamond' },
      hovertext: members.map((line) => hoverLines(line.name, describeRatio(line), verdict)),
    };
  });
  const ends = lines
    .flatMap(({ ratio, low, high }) => [ratio, low ?? ratio, high ?? ratio])
    .filter((end) => end > 0);
  const [low, high] = [Math.min(1, ...ends) / 1.08, Math.max(1, ...ends) * 1.08];
  return createFigure({ title: 'ratios to the baseline', ...titles }, traces, {
    xaxis: { ...logAxis(low, high), title: { text: 'times the baseline' } },
    yaxis: {
      ...{ type: 'category', categoryorder: 'array', categoryarray: lines.map(({ name }) => label(name)) },
      ...{ autorange: 'reversed', ticks: '' },
    },
    shapes: [
      {
        ...{ type: 'line', x0: 1, x1: 1, yref: 'paper', y0: 0, y1: 1 },
        line: { color: mutedInk, width: 1.2, dash: 'dash' },
      },
    ],
    annotations: lines.map((line) => ({
      ...{ xref: 'paper', x: 1.01, xanchor: 'left', y: label(line.name), showarrow: false },
      text: describeRatio(line),
      font: { size: 12 },
    })),
    margin: { l: 70, r: 150, t: 102, b: 60 },
    height: Math.max(280, 180 + 30 * lines.length),
    hovermode: 'closest',
  });
}

function describeRatio({ ratio, low, high }: RatioLine): string {
  const interval = low === null || high === null ? '' : ` (${low.toFixed(2)} to ${high.toFixed(2)})`;
  return `${ratio.toFixed(2)}×${interval}`;
}
