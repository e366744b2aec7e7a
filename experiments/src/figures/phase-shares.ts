/** A bar for each run, stacked of the shares of a phase: what is left of 100 % is nobody's. */

import type { Figure } from '@specoffload/kernel';
import { formatPercent } from '../terminal/format.js';
import { createFigure, hoverLines, label, type Titles } from './theme.js';

/** One part of every bar. */
export interface PhasePart {
  readonly name: string;
  readonly color: string;
  /** Of the phase, run by run. */
  readonly shares: readonly number[];
  /** Said beneath a share, run by run. */
  readonly details?: readonly string[];
  /** Further fields of its trace. */
  readonly style?: object;
}

export function phaseShares(names: readonly string[], parts: readonly PhasePart[], titles: Titles): Figure {
  const traces = parts.map(({ name, color, shares, details, style }) => ({
    ...{ type: 'bar', orientation: 'h', name },
    y: names.map((run) => label(run)),
    x: shares,
    marker: { color, line: { color: 'white', width: 1 } },
    text: shares.map((share) => (share >= 0.045 ? formatPercent(share) : '')),
    textposition: 'inside',
    ...style,
    hovertext: names.map((run, i) =>
      hoverLines(run, `${name}: ${formatPercent(shares[i])}${details ? `, ${details[i]}` : ''}`),
    ),
    hoverinfo: 'text',
  }));
  return createFigure(titles, traces, {
    barmode: 'stack',
    xaxis: { tickformat: '.0%', range: [0, 1], title: { text: 'share of the phase' } },
    yaxis: { type: 'category', autorange: 'reversed', showgrid: false, ticks: '' },
    legend: { traceorder: 'normal' },
    height: Math.max(280, 190 + 38 * names.length),
    hovermode: 'closest',
  });
}
