/** Keeps the process alive, whatever cells do to it: it ends when a front end says so. */

import { NotebookError } from '../errors.js';
import { type CellFailure, describeThrown } from './failure.js';
import { Interruption } from './interruption.js';

const strays = {
  UncaughtException: 'thrown where no cell waits for it:',
  UnhandledRejection: 'a promise was rejected that nobody awaits:',
} as const;

/**
 * What nobody catches is published; what would end the process throws instead.
 * @returns the way to end it
 */
export function containCells(publish: (failure: CellFailure) => void): () => never {
  const { exit } = process;
  process.exit = ((code?: number) => {
    throw new NotebookError(
      `process.exit(${code ?? ''}) would end the kernel; restart it from the front end`,
    );
  }) as typeof process.exit;
  process.abort = () => {
    throw new NotebookError('process.abort() would end the kernel; restart it from the front end');
  };
  const tell = (ename: keyof typeof strays, thrown: unknown) => {
    // Code that an interrupt has ended is not reported as an error.
    if (thrown instanceof Interruption) return;
    try {
      publish(describeStray(ename, thrown));
    } catch {
      // Nobody is left to be told.
    }
  };
  process.on('uncaughtException', (error) => tell('UncaughtException', error));
  process.on('unhandledRejection', (reason) => tell('UnhandledRejection', reason));
  return () => exit.call(process, 0);
}

function describeStray(ename: keyof typeof strays, thrown: unknown): CellFailure {
  const { ename: name, evalue, traceback } = describeThrown(thrown);
  return { ename, evalue: `${name}: ${evalue}`, traceback: [strays[ename], ...traceback] };
}
