/** Writes a file so that a reader sees the old one or the new one, whole; and says beforehand whether it could. */

import { mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hasCode, printable, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import { type Notebook, serializeNotebook } from './format.js';

export function saveNotebook(path: string, notebook: Notebook): Promise<void> {
  return saveFile(path, serializeNotebook(notebook));
}

/** @throws NotebookError when the file cannot be written; what was there before is still there then. */
export async function saveFile(path: string, text: string): Promise<void> {
  const target = await findTarget(path);
  await writeAside(path, target, text, (aside) => rename(aside, target));
}

/** As much as the smallest notebook takes: a full disk is found too. */
const trialText = ' '.repeat(4096);

/**
 * Makes the file's folder and writes a trial beside it, which goes again: work whose result could not be written is
 * not begun.
 * @throws NotebookError when {@link saveFile} would fail
 */
export async function assertWritable(path: string): Promise<void> {
  const target = await findTarget(path);
  await writeAside(path, target, trialText, (aside) => rm(aside));
}

/** What a link leads to. A device or a pipe is no place for a file: it would be replaced, or never end. */
async function findTarget(path: string): Promise<string> {
  try {
    const stats = await stat(path);
    if (!stats.isFile())
      throw new Error(stats.isDirectory() ? 'it is a folder' : 'it is a device or a pipe, no regular file');
    return await realpath(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return path;
    throw cannotWrite(path, [error]);
  }
}

async function writeAside(
  path: string,
  target: string,
  text: string,
  finish: (aside: string) => Promise<void>,
): Promise<void> {
  const aside = `${target}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await writeDurably(aside, text);
    await finish(aside);
  } catch (error) {
    const failures = [error];
    // Where there is no such folder, there is nothing to remove either.
    await rm(aside, { force: true }).catch((failure: unknown) => {
      if (!hasCode(failure, 'ENOTDIR')) failures.push(failure);
    });
    throw cannotWrite(path, failures);
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function cannotWrite(path: string, [cause, ...others]: readonly unknown[]): NotebookError {
  const also = others.map((other) => `; then ${reasonOf(other)}`).join('');
  return new NotebookError(
    `cannot write ${printable(path)}: ${reasonOf(cause)}${also}; name a file in a folder that can be written`,
    { cause },
  );
}
