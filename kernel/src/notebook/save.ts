/** Writes a file so that a reader sees the old one or the new one, whole. */

import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, NotebookError } from '../errors.js';
import { type Notebook, serializeNotebook } from './format.js';

export function saveNotebook(path: string, notebook: Notebook): Promise<void> {
  return saveFile(path, serializeNotebook(notebook));
}

export async function saveFile(path: string, text: string): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(aside, 'w');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw new NotebookError(`cannot write ${path}: ${messageOf(error)}`);
  }
}
