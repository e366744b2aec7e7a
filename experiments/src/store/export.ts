/** Rows as one file for other tools: Parquet or CSV, made by DuckDB in a folder of its own, then put in its place whole. */

import { readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import {
  explainSystemError,
  makeTemporaryFolder,
  reasonOf,
  UserError,
  writeWholeFile,
} from '@specoffload/input';
import { displayPath } from '../paths.js';
import { UsageError } from '../terminal/errors.js';
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
  await assertFolder(path);
  const workshop = await makeTemporaryFolder('export');
  try {
    const made = join(workshop, basename(path));
    await withRowTable(rows, tableColumnsOf(rows), async (connection) => {
      await connection.run(`copy runs to ${quoteText(made)} (${formats[extname(path)]})`);
    });
    await writeWholeFile(path, await readFile(made), { remedy: 'choose another --out' });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot write ${displayPath(path)}: ${reasonOf(error)}; choose another --out`);
  } finally {
    await rm(workshop, { recursive: true, force: true }).catch(() => {});
  }
}

/** Other tools look where the file was asked for: a folder that is not there is a slip. */
async function assertFolder(path: string): Promise<void> {
  try {
    await stat(dirname(path));
  } catch (error) {
    throw explainSystemError(error, `write ${displayPath(path)}`, 'make its folder, or choose another --out');
  }
}

/** A path as a text in SQL. */
function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
