/** Files that are whole or not there: written aside, then renamed into place. */

import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Makes its folder too. @throws what the system says; nothing is left behind then */
export async function writeWhole(path: string, text: string): Promise<void> {
  const aside = join(dirname(path), `.writing-${process.pid}-${basename(path)}`);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(aside, text);
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {});
    throw error;
  }
}
