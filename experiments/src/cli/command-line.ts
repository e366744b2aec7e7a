/** One call of `specoffload`: reads the arguments, runs one command, and turns its end into an exit code. */

import { CommanderError } from 'commander';
import { describeError, exitCodeOf } from '../terminal/errors.js';
import type { Interrupts } from './interrupt.js';
import { createProgram } from './program.js';

/**
 * @param signal aborted by Ctrl-C
 * @param takeInterrupts see `Interrupts`
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
 */
export async function runCommandLine(
  args: readonly string[],
  signal: AbortSignal,
  takeInterrupts: Interrupts['take'] = () => {},
): Promise<number> {
  try {
    const program = await createProgram(args, { signal, takeInterrupts });
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // commander has said what was wrong; help and version arrive here too, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`specoffload: ${describeError(error, args.includes('--verbose'))}\n`);
    return exitCodeOf(error);
  }
}
