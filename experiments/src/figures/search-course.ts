/** How a search went: what each step reached, and the best so far; of two objectives, what was reached of both. */

import type { Figure } from '@specoffload/kernel';
import { nameOfColumn, numberAxis } from './labels.js';
import { createFigure, hoverLines, type Titles } from './theme.js';

export interface SearchPoint {
  /** Of each objective. */
  readonly values: readonly number[];
  /** For those who point at it. */
  readonly lines: readonly string[];
}

export interface SearchObjective {
  readonly metric: string;
  readonly lowerIsBetter: boolean;
}

const [tried, best] = ['#8a94a3', '#0072b2'];

/** Of the first objective. Steps that reached nothing are left out, and keep their number. */
export function searchCourse(
  steps: readonly (SearchPoint | null)[],
  [objective]: readonly [SearchObjective, ...SearchObjective[]],
  titles: Partial<Titles> = {},
): Figure {
  const { metric, lowerIsBetter } = objective;
  const points = steps.flatMap((step, i) => (step === null ? [] : [{ ...step, number: i + 1 }]));
  const values = points.map((point) => point.values[0]!);
  const bests = values.map((_, i) =>
    values.slice(0, i + 1).reduce((a, b) => (lowerIsBetter ? Math.min(a, b) : Math.max(a, b))),
  );
  const x = points.map(({ number }) => number);
  return createFigure(
    { title: `${nameOfColumn(metric)}, step by step`, ...titles },
    [
      {
        ...{ type: 'scatter', mode: 'markers', name: 'reached', x, y: values, hoverinfo: 'text' },
        marker: { color: tried, size: 8 },
        hovertext: points.map(({ lines }) => hoverLines(...lines)),
      },
      {
        ...{ type: 'scatter', mode: 'lines', name: 'best so far', x, y: bests, hoverinfo: 'skip' },
        line: { color: best, width: 2.2, shape: 'hv' },
      },
    ],
    { xaxis: { title: { text: 'step' } }, yaxis: numberAxis(metric), hovermode: 'closest' },
  );
}

/** The first two objectives against each other; none of the points on the line is worse than another one in both. */
export function searchFront(
  points: readonly SearchPoint[],
  [one, two]: readonly [SearchObjective, SearchObjective, ...SearchObjective[]],
  titles: Partial<Titles> = {},
): Figure {
  const isBetter = (a: SearchPoint, b: SearchPoint) =>
    [one, two].every(({ lowerIsBetter }, i) =>
      lowerIsBetter ? a.values[i]! <= b.values[i]! : a.values[i]! >= b.values[i]!,
    ) && [0, 1].some((i) => a.values[i] !== b.values[i]);
  const front = points
    .filter((point) => !points.some((other) => isBetter(other, point)))
    .sort((a, b) => a.values[0]! - b.values[0]!);
  const trace = (members: readonly SearchPoint[]) => ({
    x: members.map(({ values }) => values[0]),
    y: members.map(({ values }) => values[1]),
    ...{ hovertext: members.map(({ lines }) => hoverLines(...lines)), hoverinfo: 'text', type: 'scatter' },
  });
  return createFigure(
    { title: `${nameOfColumn(one.metric)} and ${nameOfColumn(two.metric)}`, ...titles },
    [
      { ...trace(points), mode: 'markers', name: 'reached', marker: { color: tried, size: 8 } },
      {
        ...trace(front),
        mode: 'lines+markers',
        name: 'front',
        line: { color: best, width: 2.2 },
        marker: { size: 9 },
      },
    ],
    { xaxis: numberAxis(one.metric), yaxis: numberAxis(two.metric), hovermode: 'closest' },
  );
}
