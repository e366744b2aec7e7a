/** Whether rows that a figure would take together are runs of one point, and what varies among them where they are not. */

import { UserError } from '@specoffload/input';
import { canonicalJson, type Json } from '../store/canonical.js';
import { columns, type PointOfRun, pointIdOf, turnIdOf } from '../store/index.js';
import type { FigureRow } from './points.js';

/** What came of a run, and who made it: no part of what was asked. */
const outcomeNames = new Set(
  columns.filter(({ group, name }) => group !== 'asked' && name !== 'kind').map(({ name }) => name),
);
/** Of measured runs these are: another processor's or card's run is no repeat. */
const computerNames = ['cpu', 'cores', 'core', 'gpu'];

const mostNamed = 6;
const mostValues = 5;

/**
 * @param groups rows that would be taken together
 * @param shown columns that tell the groups apart
 * @throws UserError naming what varies within a group
 */
export function assertOnePoint(
  groups: readonly (readonly FigureRow[])[],
  shown: readonly string[],
  metric: string,
): void {
  const mixed = groups.filter((rows) => new Set(rows.map((row) => pointOfRow(row, metric))).size > 1);
  if (mixed.length === 0) return;
  const where =
    shown.length === 0 ? '' : ` where ${shown.join(' and ')} ${shown.length === 1 ? 'is' : 'are'} the same`;
  throw new UserError(
    `these rows are of different points and cannot be taken together: ${describeVarying(mixed, metric)} varies${where}; ` +
      'expected seeds and repeats of one point in each place: make it the series or the panel, or keep the rows of one value',
  );
}

/** By turn: repeats of a prediction are copies, of which one counts. Rows that do not say their turn are a run each. */
export function distinctRuns(rows: readonly FigureRow[]): ReadonlyMap<string, FigureRow> {
  const isTold = rows.every(({ seed, repeat }) => typeof seed === 'number' && typeof repeat === 'number');
  return new Map(rows.map((row, i) => [isTold ? turnIdOf(row as unknown as Turn) : `row ${i}`, row]));
}

type Turn = Parameters<typeof turnIdOf>[0];

/** Rows that no record stands behind are told apart by all that they say but the metric and other results. */
function pointOfRow(row: FigureRow, metric: string): string {
  if (typeof row.pointKey === 'string') return pointIdOf(row as unknown as PointOfRun);
  const asked = Object.entries(row).filter(([name]) => name !== metric && !outcomeNames.has(name));
  return canonicalJson(JSON.parse(JSON.stringify(Object.fromEntries(asked))) as Json);
}

/** `acceptance (0.6, 0.7, 0.8, 0.9)`; several by commas. */
function describeVarying(groups: readonly (readonly FigureRow[])[], metric: string): string {
  const isMeasured = groups.some((rows) => rows.some(({ kind }) => kind === 'measured'));
  const names = new Set(groups.flatMap((rows) => rows.flatMap((row) => Object.keys(row))));
  const varying = [...names].flatMap((name) => {
    const isAsked =
      name !== metric && (!outcomeNames.has(name) || (isMeasured && computerNames.includes(name)));
    if (!isAsked) return [];
    const several = groups.map((rows) => valuesOf(rows, name)).find(({ length }) => length > 1);
    return several ? [{ name, values: several }] : [];
  });
  if (varying.length === 0)
    return 'something that no column names, such as a rate of the machine or the version of the code,';
  const shown = varying.slice(0, mostNamed).map(({ name, values }) => `${name} (${listValues(values)})`);
  const rest = varying.length - shown.length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function valuesOf(rows: readonly FigureRow[], name: string): string[] {
  return [
    ...new Set(
      rows.map((row) => (Array.isArray(row[name]) ? row[name].join('/') : String(row[name] ?? 'none'))),
    ),
  ];
}

function listValues(values: readonly string[]): string {
  const shown = values.slice(0, mostValues).join(', ');
  return values.length > mostValues ? `${shown}, …` : shown;
}
