/** `specoffload notebook`: the kernel for Jupyter, and notebooks without Jupyter. */

import type { Command } from 'commander';
import type { CommandContext } from './common.js';
import { addNotebookCopyCommand } from './notebook-copy.js';
import { addNotebookImagesCommand } from './notebook-images.js';
import { addCheckCommand, addInstallCommand, addUninstallCommand } from './notebook-install.js';
import { addNotebookRunCommand } from './notebook-run.js';

export function addNotebookCommand(program: Command, context: CommandContext): void {
  const notebook = program
    .command('notebook')
    .description('run notebooks headless; put the kernel into Jupyter');
  addNotebookRunCommand(notebook, context);
  addNotebookCopyCommand(notebook);
  addNotebookImagesCommand(notebook);
  addInstallCommand(notebook);
  addUninstallCommand(notebook);
  addCheckCommand(notebook);
}
