/** Writes notebooks so that a reader sees the old one or the new one, whole; and says beforehand whether it could. */

import { assertCanWrite, reasonOf, writeWholeFile } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import { type Notebook, serializeNotebook } from './format.js';

/** A device or a pipe would get every state of a notebook, one after the other. */
const options = { remedy: 'name a file in a folder that can be written', isFile: true };

export function saveNotebook(path: string, notebook: Notebook): Promise<void> {
  return saveFile(path, serializeNotebook(notebook));
}

/** @throws NotebookError when the file cannot be written; what was there before is still there then. */
export function saveFile(path: string, text: string): Promise<void> {
  return asNotebookError(writeWholeFile(path, text, options));
}

/**
 * Makes the file's folder and writes a trial beside it, which goes again: work whose result could not be written is
 * not begun.
 * @throws NotebookError when {@link saveFile} would fail
 */
export function assertWritable(path: string): Promise<void> {
  return asNotebookError(assertCanWrite(path, options));
}

async function asNotebookError(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw new NotebookError(reasonOf(error), { cause: error });
  }
}
