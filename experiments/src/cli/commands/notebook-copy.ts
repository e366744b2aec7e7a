/** `specoffload notebook copy`: the notebooks that ship, where they can be changed and run. */

import { constants } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { explainSystemError, hasCode } from '@specoffload/input';
import type { Command } from 'commander';
import { displayPath, notebooksDirectory } from '../../paths.js';
import { plural } from '../../terminal/format.js';
import { type CommonOptions, outputFor, withCommonOptions } from './common.js';

export function addNotebookCopyCommand(notebook: Command): void {
  const command = notebook
    .command('copy')
    .description('copy the notebooks that ship into a folder; those that are there stay as they are')
    .argument('[folder]', 'where to', 'notebooks');
  withCommonOptions(command, 'specoffload notebook copy').action(
    async (folder: string, options: CommonOptions) => {
      const { copied, kept } = await copyNotebooks(folder);
      const output = outputFor(options);
      output.say(
        `${plural(copied.length, 'notebook')} copied to ${displayPath(folder)}${kept.length > 0 ? `, ${kept.length} there already` : ''}`,
      );
      output.document({ folder, copied, kept });
    },
  );
}

async function copyNotebooks(folder: string): Promise<{ copied: string[]; kept: string[] }> {
  const copied: string[] = [];
  const kept: string[] = [];
  try {
    await mkdir(folder, { recursive: true });
    for (const name of (await readdir(notebooksDirectory)).filter(isShipped).sort())
      ((await isCopied(join(notebooksDirectory, name), join(folder, name))) ? copied : kept).push(name);
  } catch (error) {
    throw explainSystemError(error, `copy notebooks to ${folder}`);
  }
  return { copied, kept };
}

function isShipped(name: string): boolean {
  return name.endsWith('.ipynb') && !name.endsWith('.executed.ipynb');
}

async function isCopied(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}
