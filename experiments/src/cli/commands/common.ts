/** What all commands share: the flags for output, number parsers, and the context that cli.ts hands in. */

import { check, parseNumber, type Schema } from '@specoffload/input';
import type { Command } from 'commander';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { createOutput, type Output } from '../../terminal/output.js';

/** What a command gets from the process it runs in. */
export interface CommandContext {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** What was typed, the command's name first. */
  readonly args?: readonly string[];
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

/** `decodeBatch` as `decode-batch`. */
export function toFlag(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What was typed for fields that are flags of the same names; what was left out is left out.
 * @throws UsageError naming the flag: `invalid --candidates: 0; expected a whole number from 1 to 64`.
 */
export function readFields<Field extends string>(
  schemas: Readonly<Record<Field, Schema>>,
  typed: { readonly [Name in Field]?: string },
): Partial<Record<Field, unknown>> {
  const given: Partial<Record<Field, unknown>> = {};
  for (const field of Object.keys(schemas) as Field[]) {
    const text = typed[field];
    if (text === undefined) continue;
    // What is no number goes on as text, so that the refusal shows what was written.
    const value = parseNumber(text) ?? text;
    given[field] = asUsage(() => check(schemas[field], value, '', { whole: `--${toFlag(field)}` }));
  }
  return given;
}

/** A parser of one word out of a few. */
export function oneOf<Word extends string>(flag: string, words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new UsageError(`invalid ${flag}: ${text}; expected ${words.join(', ')}`);
    return word;
  };
}
