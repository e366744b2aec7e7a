/** What all commands share: the flags for output, number parsers, and the context that cli.ts hands in. */

import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { UsageError } from '../../terminal/errors.js';
import { createOutput, type Output } from '../../terminal/output.js';

/** What a command gets from the process it runs in. */
export interface CommandContext {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Gives every Ctrl-C from now on to a listener. */
  readonly takeInterrupts?: (listener: () => void) => void;
}

export interface CommonOptions {
  readonly json?: true;
  readonly verbose?: true;
}

/** What to do about a result that cannot be written where it was asked for. */
export const outRemedy = 'choose another --out';

/** Adds `--json`, `--verbose` and the example that ends every help page. */
export function withCommonOptions(command: Command, ...examples: string[]): Command {
  return command
    .option('--json', 'print one JSON document on standard output, everything else on standard error')
    .option('--verbose', 'show the stack trace of a failure')
    .allowExcessArguments(false)
    .addHelpText('after', `\nExample:\n${examples.map((line) => `  ${line}`).join('\n')}\n`);
}

/** Whether a flag was typed, by the option's name, and not left to its default. */
export type IsGiven = (name: string) => boolean;

export function flagsGivenTo(command: Command): IsGiven {
  return (name) => command.getOptionValueSource(name) === 'cli';
}

/** @param isForPrograms documents are asked for by another flag */
export function outputFor(options: CommonOptions, isForPrograms?: boolean): Output {
  return createOutput(process.stdout, process.stderr, options.json === true || isForPrograms === true);
}

/** A parser of whole numbers for commander's `.option`. */
export function wholeNumber(flag: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const number = parseNumber(text) ?? Number.NaN;
    if (!(Number.isInteger(number) && least <= number && number <= most))
      throw new UsageError(`invalid ${flag}: ${text}; expected a whole number from ${least} to ${most}`);
    return number;
  };
}

/** A parser of one word out of a few. */
export function oneOf<Word extends string>(flag: string, words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new UsageError(`invalid ${flag}: ${text}; expected ${words.join(', ')}`);
    return word;
  };
}
