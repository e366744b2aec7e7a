/** Notebooks made in a line, for tests. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TestCell {
  readonly code?: string;
  readonly text?: string;
  readonly tags?: readonly string[];
}

export function createNotebookText(cells: readonly (TestCell | string)[], metadata: object = {}): string {
  return JSON.stringify({
    nbformat: 4,
    nbformat_minor: 4,
    metadata,
    cells: cells.map((cell) => {
      const { code, text, tags } = typeof cell === 'string' ? { code: cell } : cell;
      const base = { metadata: tags === undefined ? {} : { tags }, source: code ?? text };
      return text === undefined
        ? { ...base, cell_type: 'code', execution_count: null, outputs: [] }
        : { ...base, cell_type: 'markdown' };
    }),
  });
}

export async function writeNotebook(
  folder: string,
  name: string,
  cells: readonly (TestCell | string)[],
): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, createNotebookText(cells));
  return path;
}
