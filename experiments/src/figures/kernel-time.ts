/** What a GPU's queue did with a phase, by its own clock: a bar for each run, by kind of kernel. */

import type { Figure } from '@specoffload/kernel';
import { formatPercent } from '../terminal/format.js';
import { colorsFor, createFigure, hoverLines, label, type Titles } from './theme.js';

export interface KernelTime {
  readonly name: string;
  /** Of the phase, by kind of kernel. */
  readonly shares: Readonly<Record<string, number>>;
}

/** `kernelTime([{ name: 'specoffload', shares: { matmul: 0.6, attention: 0.1 } }])`: what is left of 100 % it was idle. */
export function kernelTime(runs: readonly KernelTime[], titles: Partial<Titles> = {}): Figure {
  const kinds = [...new Set(runs.flatMap(({ shares }) => Object.keys(shares)))];
  const colors = colorsFor(kinds);
  const traces = kinds.map((kind) => {
    const shares = runs.map((run) => run.shares[kind] ?? 0);
    return {
      ...{ type: 'bar', orientation: 'h', name: kind },
      y: runs.map(({ name }) => label(name)),
      x: shares,
      marker: { color: colors.get(kind)!, line: { color: 'white', width: 1 } },
      text: shares.map((share) => (share >= 0.045 ? formatPercent(share) : '')),
      textposition: 'inside',
      hovertext: runs.map(({ name }, i) => hoverLines(name, `${kind}: ${formatPercent(shares[i])}`)),
      hoverinfo: 'text',
    };
  });
  return createFigure({ title: "the GPU's queue", ...titles }, traces, {
    barmode: 'stack',
    xaxis: { tickformat: '.0%', range: [0, 1], title: { text: 'share of the phase' } },
    yaxis: { type: 'category', autorange: 'reversed', showgrid: false, ticks: '' },
    legend: { traceorder: 'normal' },
    height: Math.max(280, 190 + 38 * runs.length),
    hovermode: 'closest',
  });
}
