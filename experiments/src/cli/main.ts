/** The process of `specoffload`: what comes to it from outside beside its arguments, and how it ends. */

import { explainSystemError, hasCode } from '@specoffload/input';
import { describeError } from '../terminal/errors.js';
import { runCommandLine } from './command-line.js';
import { listenForInterrupts } from './interrupt.js';

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
const { signal, take } = listenForInterrupts(process);
runCommandLine(process.argv.slice(2), signal, take).then((exitCode) => {
  process.exitCode = exitCode;
  // Its own end takes Node a while, during which another Ctrl-C would end it by that signal.
  if (exitCode >= 128) process.exit();
});
