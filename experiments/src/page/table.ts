/** The points of an experiment as a table that a click sorts. */

import { formatValue, titleOfColumn } from '../figures/labels.js';
import { describeVerdict, type RankedPoint } from '../statistics/index.js';
import { formatCount } from '../terminal/format.js';
import { numberCell, sortableTable, textCell } from './sortable-table.js';
import type { Subject } from './subject.js';

/** Points in the table; a page of ten thousand lines serves nobody. */
const mostPoints = 500;

interface Column {
  readonly title: string;
  /** What it is sorted by; null goes last. */
  readonly value: (point: RankedPoint) => string | number | null;
  readonly text?: (point: RankedPoint) => string;
}

export function pointTable(subject: Subject): string {
  const { points } = subject;
  const columns = columnsOf(subject);
  const shown = points.slice(0, mostPoints);
  const heads = columns.map(({ title, value }) => ({
    title,
    isNumber: shown.some((point) => typeof value(point) === 'number'),
  }));
  const rows = shown.map((point) => columns.map((column) => cellHtml(column, point)));
  const note =
    points.length > shown.length
      ? `<p class="note">The best ${formatCount(shown.length)} of ${formatCount(points.length)} points; <code>specoffload runs export</code> writes them all.</p>`
      : '';
  const filter =
    '<label class="filter">filter <input type="search" placeholder="words that a row must have"></label><span class="note" role="status"></span>';
  return `${filter}${sortableTable(heads, rows)}${note}`;
}

function cellHtml({ value, text }: Column, point: RankedPoint): string {
  const cell = value(point);
  const shown = text?.(point) ?? formatCell(cell);
  return typeof cell === 'number' ? numberCell(cell, () => shown) : textCell(shown);
}

function columnsOf({ axes, told, runs, points, metric }: Subject): Column[] {
  const rowOf = new Map(runs.map(({ record: { point }, row }) => [point.pointKey, row]));
  const hasSeveral = points.some(({ sample }) => sample.n > 1);
  const isCompared = points.some(({ overBaseline }) => overBaseline !== null);
  const energyOf = ({ pointKey }: RankedPoint) => toCell(rowOf.get(pointKey)?.joulesPerToken ?? undefined);
  const hasEnergy = metric !== 'joulesPerToken' && points.some((point) => energyOf(point) !== null);
  const isDisturbed = points.some(({ numDisturbed }) => numDisturbed > 0);
  const amount = (value: number | null) => (value === null ? '' : formatValue(metric, value));
  const column = (title: string, value: Column['value'], text?: Column['text']): Column =>
    text ? { title, value, text } : { title, value };
  return [
    ...axes.map(({ name }) =>
      column(
        name,
        ({ axes: at }) => toCell(at[name]),
        ({ axes: at }) => (at[name] === undefined ? '' : formatValue(name, at[name])),
      ),
    ),
    ...told.map((name) => column(name, ({ pointKey }) => toCell(rowOf.get(pointKey)?.[name] ?? undefined))),
    column('kind', ({ kind }) => kind),
    column(
      titleOfColumn(metric),
      ({ sample }) => sample.median,
      ({ sample }) => amount(sample.median),
    ),
    ...(hasSeveral
      ? [
          column(
            '95 % from',
            ({ sample }) => sample.low,
            ({ sample }) => amount(sample.low),
          ),
          column(
            'to',
            ({ sample }) => sample.high,
            ({ sample }) => amount(sample.high),
          ),
          column('runs', ({ sample }) => sample.n),
          column('outliers', ({ sample }) => sample.outliers.length),
        ]
      : []),
    ...(isCompared
      ? [
          column('times baseline', ({ overBaseline }) => overBaseline?.ratio ?? null),
          column('95 % from', ({ overBaseline }) => overBaseline?.low ?? null),
          column('to', ({ overBaseline }) => overBaseline?.high ?? null),
          column('verdict', describeVerdict),
        ]
      : []),
    ...(hasEnergy ? [column(titleOfColumn('joulesPerToken'), energyOf)] : []),
    ...(isDisturbed ? [column('disturbed', ({ numDisturbed }) => numDisturbed)] : []),
  ];
}

function toCell(value: unknown): string | number | null {
  if (value === undefined) return null;
  return typeof value === 'number' ? value : String(value);
}

function formatCell(value: string | number | null): string {
  if (value === null) return '';
  return typeof value === 'number' ? value.toLocaleString('en-US', { maximumSignificantDigits: 4 }) : value;
}
