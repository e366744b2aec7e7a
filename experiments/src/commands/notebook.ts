/** `specoffload notebook`: the kernel for Jupyter, and notebooks without Jupyter. */

import type { Command } from 'commander';
import type { CommandContext } from './common.js';
import { addCheckCommand, addInstallCommand, addUninstallCommand } from './notebook-install.js';
import { addNotebookRunCommand } from './notebook-run.js';

export function addNotebookCommand(program: Command, context: CommandContext): void {
  const notebook = program
    .command('notebook')
    .description('install the Jupyter kernel; run notebooks headless');
  addNotebookRunCommand(notebook, context);
  addInstallCommand(notebook);
  addUninstallCommand(notebook);
  addCheckCommand(notebook);
}
