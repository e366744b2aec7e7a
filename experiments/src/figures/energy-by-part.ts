/** What a useful token took, by what took it: a bar for each run, stacked of lanes, memories or counters. */

import type { Figure } from '@specoffload/kernel';
import { formatPercent, threeDigits } from '../terminal/format.js';
import { colorsFor, createFigure, hoverLines, inkOn, label, type Titles } from './theme.js';

export interface EnergyOfRun {
  readonly name: string;
  readonly newTokens: number;
  /** Joules by part, as records have them. */
  readonly parts: Readonly<Record<string, number>>;
}

/** `energyByPart([{ name: 'serial', newTokens: 128, parts: { device: 900, host: 400 } }])` */
export function energyByPart(runs: readonly EnergyOfRun[], titles: Partial<Titles> = {}): Figure {
  const names = [...new Set(runs.flatMap(({ parts }) => Object.keys(parts)))];
  const colors = colorsFor(names);
  const totals = runs.map(({ parts }) => Object.values(parts).reduce((sum, joules) => sum + joules, 0));
  const traces = names.map((name) => {
    const perToken = runs.map(({ parts, newTokens }) => (parts[name] ?? 0) / newTokens);
    const shares = runs.map(({ parts }, i) => (totals[i] > 0 ? (parts[name] ?? 0) / totals[i] : 0));
    const color = colors.get(name)!;
    return {
      ...{ type: 'bar', orientation: 'h', name, x: perToken, y: runs.map((run) => label(run.name)) },
      marker: { color, line: { color: 'white', width: 1 } },
      text: shares.map((share, i) => (share >= 0.08 ? threeDigits(perToken[i]) : '')),
      ...{ textposition: 'inside', insidetextanchor: 'middle', textfont: { color: inkOn(color), size: 12 } },
      hovertext: runs.map((run, i) =>
        hoverLines(run.name, `${name}: ${threeDigits(perToken[i])} J per token, ${formatPercent(shares[i])}`),
      ),
      hoverinfo: 'text',
    };
  });
  return createFigure({ title: 'what a token takes', ...titles }, traces, {
    barmode: 'stack',
    xaxis: { title: { text: 'J per useful token' }, rangemode: 'tozero' },
    yaxis: { type: 'category', autorange: 'reversed', showgrid: false, ticks: '' },
    legend: { traceorder: 'normal' },
    height: Math.max(280, 190 + 38 * runs.length),
    hovermode: 'closest',
  });
}
