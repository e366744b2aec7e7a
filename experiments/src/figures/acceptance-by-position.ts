/** How often the target agrees with the draft, candidate by candidate. */

import type { Figure } from '@specoffload/kernel';
import { colorsFor, createFigure, hoverLines, label, type Titles } from './theme.js';

export interface AcceptanceSeries {
  /** A workload, or whatever else tells the lines apart. */
  readonly name: string;
  /** By candidate position, 0-based, as records have it: candidates behind a refused one count as proposed. */
  readonly byPosition: readonly PositionSum[];
}

export interface PositionSum {
  readonly proposed: number;
  readonly accepted: number;
  /** Rounds in which all before it stood and it was proposed. @default as of one run, see `triedAt` */
  readonly tried?: number;
}

/** `acceptanceByPosition([{ name: 'code', byPosition: record.result.acceptance.byPosition }])` */
export function acceptanceByPosition(
  series: readonly AcceptanceSeries[],
  titles: Partial<Titles> = {},
): Figure {
  const colors = colorsFor(series.map(({ name }) => name));
  const traces = series.flatMap(({ name, byPosition }) => {
    const color = colors.get(name)!;
    const common = {
      type: 'scatter',
      mode: 'lines+markers',
      name: label(name),
      legendgroup: label(name),
      x: byPosition.map((_, position) => position + 1),
      line: { color, width: 2.2 },
      marker: { color: 'white', size: 7, line: { color, width: 2 } },
      hoverinfo: 'text',
    };
    const own = byPosition.map((_, position) => rateGivenEarlier(byPosition, position));
    const all = byPosition.map(({ proposed, accepted }) => (proposed === 0 ? null : accepted / proposed));
    const hover = (rates: readonly (number | null)[], meaning: string) =>
      rates.map((rate, i) =>
        hoverLines(
          name,
          `candidate ${i + 1}: ${rate === null ? 'never tried' : `${(100 * rate).toFixed(1)} % ${meaning}`}`,
        ),
      );
    return [
      { ...common, y: own, hovertext: hover(own, 'accepted once those before it stood') },
      {
        ...{ ...common, y: all, hovertext: hover(all, 'of rounds kept so many'), showlegend: false },
        ...{ xaxis: 'x2', yaxis: 'y2' },
      },
    ];
  });
  const share = { tickformat: '.0%', range: [0, 1.03] };
  const position = { title: { text: 'candidate' }, dtick: 1 };
  return createFigure({ title: 'acceptance by position', ...titles }, traces, {
    grid: { rows: 1, columns: 2, pattern: 'independent', xgap: 0.14 },
    xaxis: position,
    yaxis: { ...share, title: { text: 'accepted, once those before it stood' } },
    xaxis2: position,
    yaxis2: { ...share, title: { text: 'rounds that keep at least so many' } },
    showlegend: series.length > 1,
    hovermode: 'closest',
  });
}

/** Of the rounds that got that far; null where none did. */
function rateGivenEarlier(byPosition: readonly PositionSum[], position: number): number | null {
  const tried = byPosition[position].tried ?? triedAt(byPosition, position);
  return tried === 0 ? null : byPosition[position].accepted / tried;
}

/**
 * Rounds of one run that came to try a position: those in which all before it stood. Sums over runs that propose
 * different numbers of candidates have to add these up run by run.
 */
export function triedAt(byPosition: readonly PositionSum[], position: number): number {
  const { proposed } = byPosition[position];
  return position === 0 ? proposed : Math.min(byPosition[position - 1].accepted, proposed);
}
