/** Records as rows of one flat table, for tables, figures, DuckDB and data frames. */

import { basename, dirname } from 'node:path';
import { columns, type RowValue } from './columns.js';
import { cellsOfOthers } from './other-lanes.js';
import { byAge, type ReadRequest, scanRuns } from './read.js';
import type { RunRecord } from './record.js';
import type { StoredRun } from './write.js';

/** Columns that every row has and nothing can take the place of. */
export interface FixedRow {
  readonly key: string;
  /** Folder of the record; null where nobody says. */
  readonly experiment: string | null;
  readonly kind: RunRecord['kind'];
  /** Shared by the seeds and repeats of one point. */
  readonly pointKey: string;
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

/** Names that no axis, setting or policy field can take; the last would be no column but the row's prototype. */
const reservedNames = new Set([
  ...columns.filter(({ group }) => group !== 'asked').map(({ name }) => name),
  '__proto__',
]);

/**
 * One flat object of one record. Where names meet, an axis goes before the policy as it was resolved, that before a
 * setting as it was asked for, and that before what the record says of itself, such as the target's name. Results
 * and identity give way to nothing: an axis called `seconds` becomes `axis.seconds`.
 * @param experiment the record's folder. @default the experiment of its point
 */
export function toRow(record: RunRecord, experiment = record.point?.experiment ?? null): Row {
  // Assigned one by one in one order, rows share a hidden class; spread together they take thirty times as long.
  const row: Record<string, RowValue> = {};
  for (const { name, of } of columns) row[name] = of(record);
  row.experiment = experiment;
  const put = (cells: object, prefix: string) => {
    for (const [name, value] of Object.entries(cells))
      row[reservedNames.has(name) ? `${prefix}.${name}` : name] = value;
  };
  put(cellsOfOthers(record), 'result');
  put(record.point?.settings ?? {}, 'setting');
  put(record.policy, 'policy');
  put(record.point?.axes ?? {}, 'axis');
  return row as Row;
}

/** Rows of what {@link readRuns} returned, each with the name of the folder that it lay in as its experiment. */
export function toRows(runs: readonly StoredRun[]): Row[] {
  return runs.map(toStoredRow);
}

/** The same as of all that is in the store, without ever holding all records: ten thousand fill 200 MB. */
export async function readRows(request: ReadRequest): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const run of scanRuns(request)) rows.push(toStoredRow(run));
  return rows.sort(byAge);
}

function toStoredRow({ record, folder }: StoredRun): Row {
  return toRow(record, basename(dirname(folder)));
}
