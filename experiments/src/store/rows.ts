/** Records as rows of one flat table, for tables, figures, DuckDB and data frames. */

import { basename, dirname } from 'node:path';
import { columns, type RowValue } from './columns.js';
import type { RunRecord } from './record.js';
import type { StoredRun } from './write.js';

/** Columns that every row has and nothing can take the place of. */
export interface FixedRow {
  readonly key: string;
  /** Folder of the record; null where nobody says. */
  readonly experiment: string | null;
  readonly kind: RunRecord['kind'];
  readonly pointKey: string | null;
  readonly seed: number;
  readonly repeat: number;
  readonly createdAt: string;
  readonly tokensPerSecond: number;
  readonly seconds: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
  /** Share of decode that the lane was busy, 0 to 1. */
  readonly deviceUtilization: number;
  readonly hostUtilization: number;
  readonly linkUtilization: number;
  readonly diskUtilization: number;
  /** 0 to 1; null without speculation. */
  readonly acceptanceRate: number | null;
  readonly tokensPerRound: number | null;
  readonly passes: number;
  readonly devicePeakBytes: number;
  readonly hostPeakBytes: number;
  /** null where nobody looked. */
  readonly isDisturbed: boolean | null;
}

/** {@link FixedRow} and the rest of {@link columns}, and every policy field, setting and axis under its own name. */
export type Row = FixedRow & { readonly [column: string]: RowValue };

const askedColumns = columns.filter(({ group }) => group === 'asked');
const fixedColumns = columns.filter(({ group }) => group !== 'asked');
const fixedNames = new Set(['experiment', ...fixedColumns.map(({ name }) => name)]);

/**
 * One flat object of one record. Where names meet, an axis goes before the policy as it was resolved, that before a
 * setting as it was asked for, and that before what the record says of itself, such as the target's name. Results
 * and identity give way to nothing: an axis called `seconds` becomes `axis.seconds`.
 * @param experiment the record's folder. @default the experiment of its point
 */
export function toRow(record: RunRecord, experiment = record.point?.experiment ?? null): Row {
  const { key, ...fixed } = cellsOf(fixedColumns, record);
  const { settings = {}, axes = {} } = record.point ?? {};
  return {
    ...{ key, experiment },
    ...cellsOf(askedColumns, record),
    ...renamed(settings, 'setting'),
    ...renamed(record.policy as unknown as Cells, 'policy'),
    ...renamed(axes, 'axis'),
    ...fixed,
  } as Row;
}

/** Rows of what {@link readRuns} returned, each with the name of the folder that it lay in as its experiment. */
export function toRows(runs: readonly StoredRun[]): Row[] {
  return runs.map(({ record, folder }) => toRow(record, basename(dirname(folder))));
}

type Cells = Readonly<Record<string, RowValue>>;

function cellsOf(of: typeof columns, record: RunRecord): Record<string, RowValue> {
  return Object.fromEntries(of.map((column) => [column.name, column.of(record)]));
}

function renamed(cells: Cells, prefix: string): Cells {
  if (!Object.keys(cells).some((name) => fixedNames.has(name))) return cells;
  return Object.fromEntries(
    Object.entries(cells).map(([name, value]) => [fixedNames.has(name) ? `${prefix}.${name}` : name, value]),
  );
}
