/** What a report is about: an experiment's runs, each at a point, the axes that vary and what is asked of them. */

import { UserError } from '@specoffload/engine';
import type { FigureRow } from '../figures/index.js';
import {
  compareToBaseline,
  nameVaryingSettings,
  type RankedPoint,
  supersededPoints,
} from '../statistics/index.js';
import {
  columns,
  determinantsOf,
  type PointRecord,
  pointIdOf,
  pointKeyOf,
  pointOf,
  type RunRecord,
  type StoredRun,
  toRow,
} from '../store/index.js';
import type { SettingValue } from '../store/record.js';
import { type Aim, findMissing } from '../sweep/aim.js';

/** A column of the points that takes more than one value. */
export interface PageAxis {
  /** As the experiment calls it. */
  readonly name: string;
  /** Its column in the rows. */
  readonly column: string;
  /** In order of first appearance. */
  readonly values: readonly SettingValue[];
}

export interface PageRun {
  readonly record: RunRecord & { readonly point: PointRecord };
  readonly folder: string;
  readonly row: FigureRow;
}

export interface Subject {
  readonly name: string;
  /** Empty where nobody asked one. */
  readonly question: string;
  readonly metric: string;
  readonly lowerIsBetter: boolean;
  readonly baseline: Readonly<Record<string, string | number>>;
  readonly runs: readonly PageRun[];
  readonly axes: readonly PageAxis[];
  /** Columns of runs that no experiment asked for that are shown beside the axes, since no question says them. */
  readonly told: readonly string[];
  /** Best first. */
  readonly points: readonly RankedPoint[];
  /** Points left out because they were run again later with other settings. */
  readonly numSuperseded: number;
  /** What else is to be known of the runs, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * @param onMissingBaseline told when no run is at the baseline; then nothing is compared. @default it is refused
 * @throws UserError for a metric or a baseline that the runs do not have.
 */
export function createSubject(
  stored: readonly StoredRun[],
  asked: Aim & { readonly notes?: readonly string[] },
  onMissingBaseline: (sentence: string) => void = refuse,
): Subject {
  const { name, question, metric = 'tokensPerSecond', lowerIsBetter = false, notes = [] } = asked;
  const all = locateRuns(stored, name);
  const superseded = supersededPoints(all.map(({ record }) => record));
  const placed = all.filter(({ record }) => !superseded.has(pointIdOf(pointOf(record))));
  const missing = findMissing(
    asked.baseline ?? {},
    placed.map(({ record }) => record.point),
  );
  if (missing !== null) onMissingBaseline(missing);
  const baseline = missing === null ? (asked.baseline ?? {}) : {};
  const axes = axesThatVary(placed, [...Object.keys(baseline), 'system', 'strategy']);
  const isAsked = stored.some(({ record }) => record.point);
  const runs = isAsked ? placed : placed.map((run) => narrow(run, axes));
  const points = compareToBaseline(
    runs.map(({ record }) => record),
    { name, metric, lowerIsBetter, baseline },
  );
  const numSuperseded = superseded.size;
  const told = isAsked ? [] : columnsTold(runs).filter((name) => axes.every((axis) => axis.name !== name));
  return { name, question, metric, lowerIsBetter, baseline, runs, axes, told, points, numSuperseded, notes };
}

/** What computed, who proposed, and how tokens were drawn. */
function columnsTold(runs: readonly PageRun[]): string[] {
  const drawn = runs.flatMap(({ row }) => Object.keys(row).filter((name) => name.startsWith('sampling.')));
  const names = ['target', 'drafter', 'device', ...new Set(drawn)];
  return names.filter((name) => runs.some(({ row }) => (row[name] ?? null) !== null));
}

/** Runs that no experiment asked for are told apart by whatever they differ in. */
function locateRuns(stored: readonly StoredRun[], name: string): PageRun[] {
  const isPlaced = stored.some(({ record }) => record.point !== undefined);
  return isPlaced ? runsAtPoints(stored, name) : runsWithoutPoints(stored, name);
}

/** At the points of their experiment, settings that vary beside its axes added to these. */
function runsAtPoints(stored: readonly StoredRun[], name: string): PageRun[] {
  const placed = stored.filter(({ record }) => record.point !== undefined);
  const records = nameVaryingSettings(
    placed.map(({ record }) => ({ ...record, point: { ...record.point!, experiment: name } })),
  );
  return placed.map(({ record, folder }, i) => ({ record: records[i], folder, row: toRow(record) }));
}

function runsWithoutPoints(stored: readonly StoredRun[], name: string): PageRun[] {
  const rows = stored.map(({ record }) => ({ ...determinantsOf(record), ...toRow(record) }));
  const distinguishing = columnsThatDiffer(rows);
  return stored.map(({ record, folder }, i) => {
    const row = rows[i];
    const axes = Object.fromEntries(distinguishing.map((column) => [column, toSetting(row[column])]));
    const point = { experiment: name, pointKey: pointKeyOf(record), axes, settings: {} };
    return { record: { ...record, point }, folder, row };
  });
}

/** Settings of a run by which it can differ from another one without being another question. */
const askedColumns = columns.filter(({ group }) => group === 'asked').map(({ name }) => name);

/** Names before policy fields, and those before digests and sizes that only the records hold. */
function columnsThatDiffer(rows: readonly FigureRow[]): string[] {
  const known = new Set(columns.map(({ name }) => name));
  const others = new Set(rows.flatMap((row) => Object.keys(row)).filter((name) => !known.has(name)));
  const isDeep = (name: string) => name.includes('.');
  const named = [...others].filter((name) => !isDeep(name));
  return [...askedColumns, ...named, ...[...others].filter(isDeep)].filter(
    (name) => new Set(rows.map((row) => JSON.stringify(row[name] ?? null))).size > 1,
  );
}

function toSetting(value: unknown): SettingValue {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'boolean' ? String(value) : (value as SettingValue);
}

/** What varies, without what follows from the axes before it: a system's own batch tells no two points apart. */
function axesThatVary(runs: readonly PageRun[], first: readonly string[]): PageAxis[] {
  const values = new Map<string, Map<string, SettingValue>>();
  for (const { record } of runs)
    for (const [name, value] of Object.entries(record.point.axes)) {
      const seen = values.get(name) ?? new Map<string, SettingValue>();
      values.set(name, seen.set(JSON.stringify(value), value));
    }
  const rankOf = (name: string) => (first.includes(name) ? first.indexOf(name) : first.length);
  const varying = [...values].filter(([, seen]) => seen.size > 1).sort(([a], [b]) => rankOf(a) - rankOf(b));
  const telling = varying.filter(([name], i) => {
    const earlier = varying.slice(0, i).map(([other]) => other);
    return !followsFrom(name, earlier, runs);
  });
  return telling.map(([name, seen]) => ({ name, column: columnOf(name, runs), values: [...seen.values()] }));
}

function followsFrom(name: string, earlier: readonly string[], runs: readonly PageRun[]): boolean {
  const valueAt = new Map<string, string>();
  return runs.every(({ record: { point } }) => {
    const place = JSON.stringify(earlier.map((other) => point.axes[other] ?? null));
    const value = JSON.stringify(point.axes[name] ?? null);
    if (!valueAt.has(place)) valueAt.set(place, value);
    return valueAt.get(place) === value;
  });
}

/** Drops from runs without points what follows from other axes, such as a strategy's own batch: pairs need not share it. */
function narrow(run: PageRun, axes: readonly PageAxis[]): PageRun {
  const { point } = run.record;
  const narrowed = Object.fromEntries(axes.map(({ name }) => [name, point.axes[name]]));
  return { ...run, record: { ...run.record, point: { ...point, axes: narrowed } } };
}

/** Rows call an axis `axis.seconds` where its name is a result's. */
function columnOf(name: string, runs: readonly PageRun[]): string {
  const renamed = `axis.${name}`;
  return runs.some(({ row }) => Object.hasOwn(row, renamed)) ? renamed : name;
}

function refuse(sentence: string): never {
  throw new UserError(sentence);
}
