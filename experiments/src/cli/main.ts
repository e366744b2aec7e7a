/** The `specoffload` command: reads the arguments, runs one command, and turns its end into an exit code. */

import { createRequire } from 'node:module';
import { explainSystemError, hasCode, printableLines } from '@specoffload/input';
import { Command, CommanderError } from 'commander';
import { describeError, exitCodeOf } from '../terminal/errors.js';
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
import { listenForInterrupts } from './interrupt.js';

function createProgram(context: CommandContext): Command {
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

/** @returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
async function main(args: readonly string[]): Promise<number> {
  const signal = listenForInterrupts(process);
  try {
    await createProgram({ signal }).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // commander has said what was wrong; help and version arrive here too, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`specoffload: ${describeError(error, args.includes('--verbose'))}\n`);
    return exitCodeOf(error);
  }
}

/** An answer that nobody can read has failed; a reader that has seen enough (`| head`) is no failure. */
function watchOutput(): void {
  let failure: Error | null = null;
  process.stdout.on('error', (error) => {
    if (failure !== null || hasCode(error, 'EPIPE')) return;
    failure = error;
    const explained = explainSystemError(error, 'write to standard output');
    process.stderr.write(`specoffload: ${describeError(explained, false)}\n`);
  });
  process.stderr.on('error', () => {}); // there is nowhere left to say so
  process.on('exit', () => {
    if (failure !== null && process.exitCode === 0) process.exitCode = 1;
  });
}

// What fails beside the command's own way, such as a thread that finds no file to open any more.
process.on('uncaughtException', (error) => {
  process.stderr.write(`specoffload: ${describeError(error, process.argv.includes('--verbose'))}\n`);
  process.exit(1);
});

watchOutput();
main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
  // Its own end takes Node a while, during which another Ctrl-C would end it by that signal.
  if (exitCode >= 128) process.exit();
});
