/** One call of `specoffload`: reads the arguments, runs one command, and turns its end into an exit code. */

import { type Command, CommanderError, type Option } from 'commander';
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
  let program: Command | undefined;
  try {
    program = await createProgram(args, { signal, takeInterrupts });
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // commander has said what was wrong; help and version arrive here too, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const flags = program ? calledOf(program, args).options : [];
    process.stderr.write(
      `specoffload: ${withFlags(describeError(error, args.includes('--verbose')), flags)}\n`,
    );
    return exitCodeOf(error);
  }
}

/** The command, or that of a command, which the arguments begin with. */
function calledOf(command: Command, [first, ...rest]: readonly string[]): Command {
  const called = command.commands.find((one) => one.name() === first);
  return called ? calledOf(called, rest) : command;
}

/** The engine speaks of `pinnedLayers`, where people typed `--pinned-layers`. Names that are plain words stay, but where they begin. */
function withFlags(sentence: string, flags: readonly Option[]): string {
  return flags.reduce((text, flag) => {
    const name = flag.attributeName();
    const isWord = name === name.toLowerCase();
    return text.replace(
      new RegExp(isWord ? `(?<=^invalid )${name}(?=:)` : `(?<![\\w-])${name}(?!\\w)`, 'g'),
      flag.long ?? name,
    );
  }, sentence);
}
