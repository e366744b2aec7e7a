/** The `specoffload` command: reads the arguments, runs one command, and turns its end into an exit code. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { addAccuracyCommand } from './commands/accuracy.js';
import { addBenchCommand } from './commands/bench.js';
import type { CommandContext } from './commands/common.js';
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
import { describeError, exitCodeOf, hasCode } from './errors.js';
import { listenForInterrupts } from './interrupt.js';
import { projectDirectory } from './paths.js';

function createProgram(context: CommandContext): Command {
  const program = new Command('specoffload')
    .description('Speculative decoding inside weight offloading, run for real.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'specoffload: ')) })
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
  addModelCommand(program, context);
  addNotebookCommand(program, context);
  addBenchCommand(program, context);
  return program;
}

function readVersion(): string {
  const path = join(projectDirectory, 'experiments', 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** @returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
async function main(args: readonly string[]): Promise<number> {
  const interrupts = listenForInterrupts(process);
  try {
    await createProgram({ signal: interrupts.signal }).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // commander has said what was wrong; help and version arrive here too, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`specoffload: ${describeError(error, args.includes('--verbose'))}\n`);
    return exitCodeOf(error);
  } finally {
    interrupts.stop();
  }
}

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error) => {
  if (!hasCode(error, 'EPIPE')) throw error;
});

main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
