/** Notebooks for tests: made in a line, or the lab's own in their quick form. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { projectDirectory } from '../../experiments/src/paths.js';

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

/** Copies one of the lab's notebooks, set to its quick form; what it stores stays below the copy's parent folder. */
export async function copyQuick(name: string, to: string): Promise<void> {
  const text = await readFile(join(projectDirectory, 'notebooks', name), 'utf8');
  const quick = text.replace('let quick = false;', 'let quick = true;');
  if (quick === text) throw new Error(`${name} declares no quick form`);
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, quick);
}
