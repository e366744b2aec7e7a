/** How wrong predictions are: each pair as a point, the diagonal is right. */

import { largest, smallest } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';
import { logAxis } from './axes.js';
import { colorsFor, createFigure, hoverLines, label, type Titles } from './theme.js';

export interface PredictedPair {
  /** Points of one series share a colour. */
  readonly series: string;
  /** What the point is, for its hover text. */
  readonly name: string;
  readonly predicted: number;
  readonly measured: number;
}

export interface PredictedVsMeasuredOptions extends Partial<Titles> {
  /** @default tokens/s */
  readonly unit?: string;
  /** What the predictions are held against. @default measured */
  readonly truth?: 'measured' | 'published';
}

/** `predictedVsMeasured([{ series: 'serial', name: 'batch 8', predicted: 12.1, measured: 11.7 }])` */
export function predictedVsMeasured(
  pairs: readonly PredictedPair[],
  options: PredictedVsMeasuredOptions = {},
): Figure {
  const { unit = 'tokens/s', truth = 'measured' } = options;
  const drawn = pairs.filter(({ predicted, measured }) => predicted > 0 && measured > 0);
  const names = [...new Set(drawn.map(({ series }) => series))];
  const colors = colorsFor(names);
  const values = drawn.flatMap(({ predicted, measured }) => [predicted, measured]);
  const [low, high] = [smallest(values) / 1.25, largest(values) * 1.25];
  const band = (error: number, opacity: number) => ({
    ...{ type: 'scatter', mode: 'lines', name: `within ${100 * error} %`, hoverinfo: 'skip' },
    x: [low, high, high, low],
    y: [low * (1 + error), high * (1 + error), high * (1 - error), low * (1 - error)],
    fill: 'toself',
    fillcolor: `rgba(95,107,122,${opacity})`,
    line: { width: 0 },
  });
  const points = names.map((name) => {
    const members = drawn.filter(({ series }) => series === name);
    return {
      ...{ type: 'scatter', mode: 'markers', name: label(name) },
      x: members.map(({ measured }) => measured),
      y: members.map(({ predicted }) => predicted),
      marker: { color: colors.get(name), size: 8, opacity: 0.85, line: { color: 'white', width: 1 } },
      hovertext: members.map(({ series, name: own, predicted, measured }) =>
        hoverLines(
          `${series}: ${own}`,
          `predicted ${predicted.toPrecision(3)}, ${truth} ${measured.toPrecision(3)} ${unit}`,
          `${signed(predicted / measured - 1)} %`,
        ),
      ),
      hoverinfo: 'text',
    };
  });
  const diagonal = {
    ...{
      type: 'scatter',
      mode: 'lines',
      x: [low, high],
      y: [low, high],
      hoverinfo: 'skip',
      showlegend: false,
    },
    line: { color: '#5f6b7a', width: 1 },
  };
  return createFigure(
    {
      title: options.title ?? `predicted against ${truth}`,
      subtitle: options.subtitle ?? describeErrors(drawn),
    },
    [band(0.2, 0.1), band(0.1, 0.14), diagonal, ...points],
    {
      xaxis: { ...logAxis(low, high), title: { text: `${truth}, ${label(unit)}` } },
      yaxis: { ...logAxis(low, high), title: { text: `predicted, ${label(unit)}` } },
      height: 560,
      hovermode: 'closest',
    },
  );
}

const signed = (error: number) => `${error >= 0 ? '+' : '−'}${Math.abs(100 * error).toFixed(1)}`;

function describeErrors(pairs: readonly PredictedPair[]): string {
  if (pairs.length === 0) return 'no pairs';
  const errors = pairs.map(({ predicted, measured }) => Math.abs(predicted / measured - 1));
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const within = errors.filter((error) => error <= 0.1 + 1e-9).length;
  return `${pairs.length} pairs, mean error ${(100 * mean).toFixed(1)} %, ${within} within 10 %`;
}
