/** Questions to the rows in SQL, answered by DuckDB in memory: no file, no network, whatever the question says. */

import type { DuckDBConnection, JS } from '@duckdb/node-api';
import { reasonOf, UserError } from '@specoffload/input';
import { type TableColumn, tableColumnsOf, withRowTable } from './row-table.js';
import type { Row } from './rows.js';

/** A cell of an answer: times in ISO 8601, and whole numbers that are too large for a number as text. */
export type QueryValue =
  | string
  | number
  | boolean
  | null
  | QueryValue[]
  | { readonly [name: string]: QueryValue };

export type QueryRow = Readonly<Record<string, QueryValue>>;

/**
 * `queryRows(rows, 'select any_value(strategy), median(tokensPerSecond) from runs group by pointKey')`: the table `runs` has the
 * columns of the rows, see `columns`, and nothing outside it can be read or written.
 * @throws UserError with what DuckDB says of a wrong query
 */
export async function queryRows(
  rows: readonly Row[],
  sql: string,
  signal?: AbortSignal,
): Promise<QueryRow[]> {
  const asked = columnsIn(sql, tableColumnsOf(rows));
  return withRowTable(rows, asked, async (connection) => {
    const answer = await ask(connection, 'query', sql, signal);
    return answer.map((row) => toPlain(row) as QueryRow);
  });
}

/**
 * The rows for which a condition such as `strategy = 'flexgen' and decodeBatch >= 64` is true, in their order.
 * @throws UserError with what DuckDB says of a wrong condition
 */
export async function filterRows(
  rows: readonly Row[],
  condition: string,
  signal?: AbortSignal,
): Promise<Row[]> {
  // DuckDB has a column of its own in every table, rowid: rows are numbered as they came in.
  const sql = `select rowid as "row" from runs where (${condition}\n) order by rowid`;
  const asked = columnsIn(condition, tableColumnsOf(rows));
  return withRowTable(rows, asked, async (connection) => {
    const answer = await ask(connection, 'condition', sql, signal);
    return answer.map(({ row }) => rows[Number(row)]);
  });
}

/** Only what a statement may name has to go into the table, which is most of the work. A star names everything. */
function columnsIn(sql: string, tableColumns: readonly TableColumn[]): readonly TableColumn[] {
  const text = sql.toLowerCase();
  const named = tableColumns.filter(({ sqlName }) => text.includes(sqlName.toLowerCase()));
  const isPartial = /\*|\bcolumns\b|\bdescribe\b|\bsummarize\b|^\s*from\b/.test(text) || named.length === 0;
  return isPartial ? tableColumns : named;
}

/** Answers one statement and no more. */
async function ask(
  connection: DuckDBConnection,
  what: 'query' | 'condition',
  sql: string,
  signal?: AbortSignal,
): Promise<Record<string, JS>[]> {
  await connection.run('set enable_external_access = false');
  await connection.run('set lock_configuration = true');
  const release = interruptOnAbort(connection, signal);
  try {
    const statement = await connection.prepare(sql); // which refuses a second statement
    signal?.throwIfAborted();
    const reader = await statement.runAndReadAll();
    return reader.getRowObjectsJS();
  } catch (error) {
    signal?.throwIfAborted();
    throw new UserError(`invalid ${what}: ${firstLines(error)}`);
  } finally {
    release();
  }
}

/** Interrupting what has not begun yet has no effect: it is tried again until the work has ended. */
function interruptOnAbort(connection: DuckDBConnection, signal?: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const interrupt = () => {
    timer = setInterval(() => connection.interrupt(), 50);
  };
  signal?.addEventListener('abort', interrupt);
  return () => {
    signal?.removeEventListener('abort', interrupt);
    clearInterval(timer);
  };
}

/** DuckDB's sentence and its candidates, without the excerpt of the statement below. */
function firstLines(error: unknown): string {
  return (error instanceof Error ? error.message : reasonOf(error))
    .split(/\n\s*\n?LINE \d+:/)[0]
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}

function toPlain(value: JS): QueryValue {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toPlain(item)]));
}
