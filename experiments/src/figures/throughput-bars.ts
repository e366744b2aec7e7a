/** Grouped bars with intervals: systems side by side, over workloads or whatever else there is. */

import type { Figure } from '@specoffload/kernel';
import { pairedRatio } from '../statistics/index.js';
import { formatPercent } from '../terminal/format.js';
import { byPanel } from './by-panel.js';
import { formatValue, nameOfColumn, numberAxis, numberStyleOf, titleOfColumn } from './labels.js';
import {
  describeKinds,
  describeSummary,
  distinct,
  errorBars,
  type FigurePoint,
  type FigureRow,
  gatherPoints,
} from './points.js';
import { colorsFor, createFigure, hoverLines, ink, inkOn, label, type Titles } from './theme.js';

export interface ThroughputBarsOptions extends Partial<Titles> {
  /** Column whose values are bars of their own colour. @default strategy */
  readonly series?: string;
  /** Column along the horizontal axis. @default none, a single group */
  readonly group?: string;
  /** Column whose values get a figure each, side by side. @default none, a single figure */
  readonly panel?: string;
  /** @default tokensPerSecond */
  readonly metric?: string;
  /** Value of `series` that the others are written above as multiples of. */
  readonly baseline?: string;
}

/**
 * `throughputBars(rows, { series: 'system', group: 'workload', baseline: 'FlexGen' })`. Rows of several kinds stand
 * side by side: published bars are pale, predicted ones hatched, measured ones solid.
 * @throws UserError where anything else varies among the rows: only runs of one point are taken together
 */
export function throughputBars(rows: readonly FigureRow[], options: ThroughputBarsOptions = {}): Figure {
  const { series = 'strategy', group, metric = 'tokensPerSecond', baseline } = options;
  const title =
    options.title ?? `${nameOfColumn(metric)}${group === undefined ? '' : ` by ${nameOfColumn(group)}`}`;
  if (options.panel !== undefined) {
    const { panel, subtitle: _, ...own } = options;
    const points = gatherPoints(rows, { x: group, series, metric, panel });
    const subtitle = options.subtitle ?? describe(points, baseline);
    return byPanel(rows, panel, { title, subtitle }, (members) => throughputBars(members, own));
  }
  const points = gatherPoints(rows, { x: group, series, metric });
  const names = distinct(points.map((point) => point.series));
  const kinds = distinct(points.map(({ kind }) => kind));
  const colors = colorsFor(names);
  const ratioOf = createRatio(points, baseline);
  const isCrowded = points.length > 40;
  const isNarrow = points.length > 10;
  const textOf = (point: FigurePoint) =>
    [formatAmount(metric, point.summary.median), ratioOf(point)]
      .filter(Boolean)
      .join(isNarrow ? ', ' : '<br>');
  const traces = names.flatMap((name) =>
    kinds.flatMap((kind) => {
      const members = points.filter((point) => point.series === name && point.kind === kind);
      if (members.length === 0) return [];
      const color = colors.get(name)!;
      return {
        type: 'bar',
        name: label(name),
        legendgroup: label(name),
        showlegend: group !== undefined && kind === kinds.find((one) => hasPoint(points, name, one)),
        x: members.map(({ x, series: own }) => label(String(group === undefined ? own : x))),
        y: members.map(({ summary }) => summary.median),
        error_y: errorBars(members, ink),
        marker: { color, ...fillOf(kind, kinds.length > 1, color) },
        text: members.map((point) => (isCrowded ? '' : textOf(point))),
        ...{ textposition: 'inside', insidetextanchor: 'start', textangle: isNarrow ? -90 : 0 },
        textfont: { size: 12, color: kinds.length > 1 && kind !== 'measured' ? ink : inkOn(color) },
        hovertext: members.map((point) =>
          hoverLines(`${name}, ${kind}`, describeSummary(point.summary), ratioOf(point)),
        ),
        hoverinfo: 'text',
      };
    }),
  );
  return createFigure({ title, subtitle: options.subtitle ?? describe(points, baseline) }, traces, {
    barmode: group === undefined && kinds.length === 1 ? 'overlay' : 'group',
    xaxis: {
      type: 'category',
      title: { text: group === undefined ? '' : titleOfColumn(group) },
      showgrid: false,
      tickangle: 'auto',
    },
    yaxis: { ...numberAxis(metric), rangemode: 'tozero' },
    hovermode: 'closest',
  });
}

function describe(points: readonly FigurePoint[], baseline: string | undefined): string {
  const kinds = distinct(points.map(({ kind }) => kind));
  const parts = [
    describeKinds(points),
    kinds.length > 1 ? describeFills(kinds) : '',
    baseline === undefined ? '' : `in the bars: the value, and times ${baseline}`,
  ];
  return parts.filter(Boolean).join('; ');
}

function hasPoint(points: readonly FigurePoint[], name: string, kind: string): boolean {
  return points.some((point) => point.series === name && point.kind === kind);
}

function describeFills(kinds: readonly string[]): string {
  const fills = (kind: string) => (kind === 'measured' ? 'solid' : kind === 'published' ? 'pale' : 'hatched');
  return kinds.map((kind) => `${fills(kind)}: ${kind}`).join(', ');
}

/** Kinds are told apart only where a figure holds several. */
function fillOf(kind: string, isMixed: boolean, color: string): Readonly<Record<string, unknown>> {
  if (!isMixed || kind === 'measured') return {};
  if (kind === 'published') return { opacity: 0.45 };
  return {
    pattern: { shape: '/', fgcolor: color, bgcolor: 'white', fillmode: 'overlay', size: 6 },
    line: { color, width: 1.2 },
  };
}

/** `2.05×` of the baseline in the same group and of the same kind, run by run; empty where there is none. */
function createRatio(
  points: readonly FigurePoint[],
  baseline: string | undefined,
): (point: FigurePoint) => string {
  const keyOf = ({ x, kind }: FigurePoint) => JSON.stringify([x, kind]);
  const baselines = new Map(
    points.filter(({ series }) => series === baseline).map((point) => [keyOf(point), point]),
  );
  return (point) => {
    const partner = baselines.get(keyOf(point));
    if (partner === undefined || point === partner) return '';
    const pairs = [...point.byTurn].flatMap(([turn, value]) => {
      const other = partner.byTurn.get(turn);
      return other !== undefined && other > 0 && value > 0 ? [{ value, baseline: other }] : [];
    });
    const { ratio } = pairedRatio(pairs);
    return ratio === null ? '' : `${ratio.toFixed(2)}×`;
  };
}

/** Three digits, as much as a bar can tell. */
function formatAmount(metric: string, value: number): string {
  return numberStyleOf(metric) === 'share'
    ? formatPercent(value)
    : formatValue(metric, Number(value.toPrecision(3)));
}
