/** Rows as a DuckDB table, in memory: its columns, their types, and the way in. DuckDB is loaded on first use. */

import type { DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api';
import { type ColumnType, columns, type RowValue } from './columns.js';
import type { Row } from './rows.js';

export interface TableColumn {
  /** In the rows. */
  readonly name: string;
  /** In the table, which takes `Batch` and `batch` for the same. */
  readonly sqlName: string;
  readonly type: ColumnType;
}

/** Rows that fill one of DuckDB's vectors. */
const vectorSize = 2048;

/** Connects to an empty database, makes the table `runs` there, works with it, and closes it. */
export async function withRowTable<Result>(
  rows: readonly Row[],
  tableColumns: readonly TableColumn[],
  work: (connection: DuckDBConnection) => Promise<Result>,
): Promise<Result> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await createRowTable(connection, rows, tableColumns);
    return await work(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function createRowTable(
  connection: DuckDBConnection,
  rows: readonly Row[],
  tableColumns: readonly TableColumn[],
): Promise<void> {
  const duckdb = await import('@duckdb/node-api');
  const { BIGINT, BOOLEAN, DOUBLE, TIMESTAMP, VARCHAR, DuckDBDataChunk } = duckdb;
  const types: Readonly<Record<ColumnType, DuckDBType>> = { BIGINT, BOOLEAN, DOUBLE, TIMESTAMP, VARCHAR };
  const toTimestamp = (time: string) => new duckdb.DuckDBTimestampValue(BigInt(Date.parse(time)) * 1000n);
  const definitions = tableColumns.map(({ sqlName, type }) => `${quoteIdentifier(sqlName)} ${type}`);
  await connection.run(`create table runs (${definitions.join(', ')})`);
  const appender = await connection.createAppender('runs');
  for (let start = 0; start < rows.length; start += vectorSize) {
    const part = rows.slice(start, start + vectorSize);
    const chunk = DuckDBDataChunk.create(
      tableColumns.map(({ type }) => types[type]),
      part.length,
    );
    for (const [index, { name, type }] of tableColumns.entries())
      chunk.setColumnValues(
        index,
        part.map((row) => toDuckDbValue(row[name] ?? null, type, toTimestamp)),
      );
    appender.appendDataChunk(chunk);
  }
  appender.closeSync();
}

function toDuckDbValue(
  value: RowValue,
  type: ColumnType,
  toTimestamp: (time: string) => DuckDBValue,
): DuckDBValue {
  if (value === null) return null;
  if (type === 'BIGINT') return BigInt(value as number);
  if (type === 'TIMESTAMP') return toTimestamp(value as string);
  if (type === 'VARCHAR') return typeof value === 'string' ? value : JSON.stringify(value);
  return value as number | boolean;
}

/** Text of strangers, such as an axis' name, as a name in SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('\0', '').replaceAll('"', '""')}"`;
}

/** The columns that any of the rows has: identity, what was asked for, policies, settings and axes, then results. */
export function tableColumnsOf(rows: readonly Row[]): TableColumn[] {
  const known = new Map(columns.map((column) => [column.name, column]));
  const extra = new Set(rows.flatMap((row) => Object.keys(row)).filter((name) => !known.has(name)));
  const isAsked = ({ group }: (typeof columns)[number]) => group === 'identity' || group === 'asked';
  const names = [
    ...columns.filter(isAsked).map(({ name }) => name),
    ...extra,
    ...columns.filter((column) => !isAsked(column)).map(({ name }) => name),
  ];
  const sqlNames = distinctNames(names);
  return names.map((name, i) => ({
    ...{ name, sqlName: sqlNames[i] },
    type: typeOf(
      rows.map((row) => row[name] ?? null),
      known.get(name)?.type,
    ),
  }));
}

/** Names that differ in more than the case of their letters: `batch`, `Batch_2`. */
function distinctNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let distinct = name;
    for (let number = 2; taken.has(distinct.toLowerCase()); number += 1) distinct = `${name}_${number}`;
    taken.add(distinct.toLowerCase());
    return distinct;
  });
}

/** The declared type where it holds all values: an axis may have put text where a record has a number. */
function typeOf(values: readonly RowValue[], declared?: ColumnType): ColumnType {
  const present = values.filter((value) => value !== null);
  if (declared !== undefined && present.every((value) => canHold(declared, value))) return declared;
  const candidates = present.length === 0 ? [] : (['BOOLEAN', 'BIGINT', 'DOUBLE'] as const);
  return candidates.find((type) => present.every((value) => canHold(type, value))) ?? 'VARCHAR';
}

function canHold(type: ColumnType, value: RowValue): boolean {
  if (type === 'BOOLEAN') return typeof value === 'boolean';
  if (type === 'BIGINT') return Number.isSafeInteger(value);
  if (type === 'DOUBLE') return typeof value === 'number';
  return type === 'VARCHAR' || typeof value === 'string';
}
