/** Rows as one file for other tools: Parquet or CSV, written aside and renamed into place. */

import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { UserError } from '@specoffload/engine';
import { UsageError } from '../errors.js';
import { displayPath } from '../paths.js';
import { tableColumnsOf, withRowTable } from './row-table.js';
import type { Row } from './rows.js';

const formats: Readonly<Record<string, string>> = {
  '.parquet': "format parquet, compression 'zstd'",
  '.csv': 'format csv, header',
};

/** @throws UsageError for a path that ends in neither `.parquet` nor `.csv` */
export function assertExportable(path: string): void {
  if (!Object.hasOwn(formats, extname(path)))
    throw new UsageError(`invalid --out: ${path}; expected a file name that ends in .parquet or .csv`);
}

/**
 * Writes one line for each row, and a column for everything that any row has.
 * @throws UserError when the file cannot be written; what was there before is then still there
 */
export async function exportRows(rows: readonly Row[], path: string): Promise<void> {
  assertExportable(path);
  const aside = join(
    dirname(path),
    `.writing-${process.pid}-${randomBytes(4).toString('hex')}-${basename(path)}`,
  );
  try {
    await withRowTable(rows, tableColumnsOf(rows), async (connection) => {
      await connection.run(`copy runs to ${quoteText(aside)} (${formats[extname(path)]})`);
    });
    await rename(aside, path);
  } catch (error) {
    throw new UserError(`cannot write ${displayPath(path)}: ${(error as Error).message.split('\n')[0]}`);
  } finally {
    await rm(aside, { force: true }).catch(() => {});
  }
}

/** A path as a text in SQL. */
function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
