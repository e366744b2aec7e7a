/** Which figures an experiment gets, chosen from the axes that vary in it. */

import type { Figure } from '@specoffload/kernel';
import { heatMap, ratioTable, sweepCurves, throughputBars } from '../figures/index.js';
import { formatValue } from '../figures/labels.js';
import { tryParseBytes } from '../inputs/sizes.js';
import { cut, type Slice } from './slices.js';
import type { PageAxis, Subject } from './subject.js';

/** A place on the page with one figure, or several to choose from. */
export interface Chart {
  readonly heading: string;
  readonly choices: readonly { readonly label: string; readonly figure: Figure }[];
}

const mostBars = 12;
const mostLines = 10;
const mostCurves = 4;
const mostRatios = 30;

/** Bars, curves and heat maps of the metric. */
export function metricCharts(subject: Subject): Chart[] {
  const series = seriesAxis(subject);
  const numeric = subject.axes.filter(
    (axis) => axis !== series && isNumeric(axis) && axis.values.length >= 3,
  );
  return [
    ...barCharts(subject, series, numeric),
    ...numeric.slice(0, mostCurves).map((axis) => curveChart(subject, axis, series, numeric)),
    ...heatCharts(subject, numeric),
  ];
}

/** What is compared: the baseline's axis, else the system or strategy, else the first one of names. */
export function seriesAxis({ axes, baseline }: Subject): PageAxis | undefined {
  const few = axes.filter(({ values }) => values.length <= mostBars);
  return (
    few.find(({ name }) => Object.hasOwn(baseline, name)) ??
    few.find(({ name }) => name === 'system' || name === 'strategy') ??
    few.find((axis) => !isNumeric(axis))
  );
}

export function isNumeric({ values }: PageAxis): boolean {
  return values.every(
    (value) => typeof value === 'number' || (typeof value === 'string' && tryParseBytes(value) !== null),
  );
}

function barCharts(subject: Subject, series: PageAxis | undefined, numeric: readonly PageAxis[]): Chart[] {
  const { axes, metric, baseline } = subject;
  const bars = series ?? axes.find(({ values }) => values.length <= mostBars);
  if (!bars && axes.length > 0) return [];
  const group = axes.find(
    (axis) => axis !== bars && !numeric.includes(axis) && axis.values.length <= mostBars,
  );
  const shown = [bars, group].filter((axis) => axis !== undefined);
  const { slices, optimized } = cut(subject, shown, true);
  const against = bars && Object.hasOwn(baseline, bars.name) ? String(baseline[bars.name]) : undefined;
  const draw = ({ rows }: Slice) =>
    throughputBars(rows, {
      ...{ metric, series: bars?.column ?? 'strategy' },
      ...(group && { group: group.column }),
      ...(against !== undefined && { baseline: against }),
    });
  return [toChart('Side by side', slices, optimized, draw)];
}

function curveChart(
  subject: Subject,
  x: PageAxis,
  series: PageAxis | undefined,
  numeric: readonly PageAxis[],
): Chart {
  const { metric, lowerIsBetter } = subject;
  // Without names to tell lines apart, the values of another sweep do.
  const lines = series ?? numeric.find((axis) => axis !== x && axis.values.length <= mostLines);
  const { slices, optimized } = cut(subject, lines ? [x, lines] : [x]);
  return toChart(`Over ${x.name}`, slices, optimized, ({ rows }) =>
    sweepCurves(rows, { x: x.column, metric, lowerIsBetter, ...(lines && { series: lines.column }) }),
  );
}

/** The two longest sweeps against each other. */
function heatCharts(subject: Subject, numeric: readonly PageAxis[]): Chart[] {
  const [x, y] = [...numeric].sort((a, b) => b.values.length - a.values.length);
  if (!x || !y) return [];
  const { slices, optimized } = cut(subject, [x, y]);
  const { metric, lowerIsBetter } = subject;
  const filled = slices.filter(({ rows }) => rows.some((row) => typeof row[metric] === 'number'));
  return [
    toChart(`Over ${x.name} and ${y.name}`, filled, optimized, ({ rows }) =>
      heatMap(rows, { x: x.column, y: y.column, metric, lowerIsBetter }),
    ),
  ];
}

function toChart(
  heading: string,
  slices: readonly Slice[],
  optimized: readonly PageAxis[],
  draw: (slice: Slice) => Figure,
): Chart {
  const best = optimized.map(({ name }) => name).join(', ');
  return {
    heading: best === '' ? heading : `${heading}, best ${best}`,
    choices: slices.map((slice) => ({ label: slice.label, figure: draw(slice) })),
  };
}

/** Nothing without a baseline. */
export function ratioCharts({ points, baseline, axes }: Subject): Chart[] {
  const compared = points.filter(({ overBaseline }) => overBaseline?.ratio != null);
  if (compared.length === 0) return [];
  const lines = compared.slice(0, mostRatios).map((point) => ({
    name: [
      ...axes.map(({ name }) => formatValue(name, point.axes[name])),
      ...(isMixed(points) ? [point.kind] : []),
    ].join(', '),
    ratio: point.overBaseline!.ratio!,
    ...{ low: point.overBaseline!.low, high: point.overBaseline!.high },
    verdict: point.overBaseline!.verdict,
  }));
  const over = Object.values(baseline).join(', ');
  const cutNote = compared.length > mostRatios ? `the best ${mostRatios} of ${compared.length} points; ` : '';
  const hasIntervals = lines.some(({ low }) => low !== null);
  const figure = ratioTable(lines, {
    title: `times ${over}`,
    subtitle: `${cutNote}${[...new Set(compared.map(({ kind }) => kind))].join(' and ')}; ${axes.map(({ name }) => name).join(', ')}${hasIntervals ? '; bars are 95 % intervals' : ''}`,
  });
  return [{ heading: `Against ${over}`, choices: [{ label: '', figure }] }];
}

const isMixed = (points: Subject['points']) => new Set(points.map(({ kind }) => kind)).size > 1;
