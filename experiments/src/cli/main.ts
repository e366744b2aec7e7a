/** The `specoffload` command: reads the arguments, runs one command, and turns its end into an exit code. */

import { explainSystemError, hasCode } from '@specoffload/input';
import { CommanderError } from 'commander';
import { describeError, exitCodeOf } from '../terminal/errors.js';
import { listenForInterrupts } from './interrupt.js';
import { createProgram } from './program.js';

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
