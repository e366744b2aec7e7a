/** All commands of `specoffload`, each from a file of its own. */

import { createRequire } from 'node:module';
import { printableLines } from '@specoffload/input';
import { Command } from 'commander';
import { addAccuracyCommand } from './commands/accuracy.js';
import { addBenchCommand } from './commands/bench.js';
import type { CommandContext } from './commands/common.js';
import { addMachinesCommand } from './commands/machines.js';
import { addModelCommand } from './commands/model.js';
import { addNotebookCommand } from './commands/notebook.js';
import { addPlanCommand } from './commands/plan.js';
import { addProfileCommand } from './commands/profile.js';
import { addReportCommand } from './commands/report.js';
import { addReproduceCommand } from './commands/reproduce.js';
import { addRunCommand } from './commands/run.js';
import { addRunsCommand } from './commands/runs.js';
import { addSimulateCommand } from './commands/simulate.js';
import { addStartCommand } from './commands/start.js';
import { addSweepCommand } from './commands/sweep.js';
import { addTunnelCommand } from './commands/tunnel.js';

export function createProgram(context: CommandContext): Command {
  const program = new Command('specoffload')
    .description('Speculative decoding inside weight offloading, run for real.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(printableLines(text.replace(/^error: /, 'specoffload: '))),
    })
    .showHelpAfterError('(--help shows the flags and an example)');
  addStartCommand(program, context);
  addRunCommand(program, context);
  addPlanCommand(program, context);
  addSimulateCommand(program, context);
  addSweepCommand(program, context);
  addReportCommand(program, context);
  addReproduceCommand(program, context);
  addProfileCommand(program, context);
  addAccuracyCommand(program, context);
  addTunnelCommand(program, context);
  addRunsCommand(program, context);
  addMachinesCommand(program, context);
  addModelCommand(program, context);
  addNotebookCommand(program, context);
  addBenchCommand(program, context);
  return program;
}

function readVersion(): string {
  return createRequire(import.meta.url)('../../package.json').version;
}
