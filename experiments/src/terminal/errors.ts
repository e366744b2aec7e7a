/** The ways a command can end badly, and the exit code of each. */

import { explainSystemError, printableLines, reasonOf, UserError } from '@specoffload/input';

/** Wrong usage: an unknown flag, a value out of range. Exit code 2. */
export class UsageError extends UserError {}

/** The user (or the system) asked the command to stop. Exit code 128 + the signal's number, as shells have it. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
  readonly exitCode: number;
  constructor(exitCode: number) {
    super('interrupted; records finished before are intact, and nothing was left half-written');
    this.exitCode = exitCode;
  }
}

/** Turns a refusal by an inner parser into wrong usage: the value came from a flag. */
export function asUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UserError) throw new UsageError(error.message);
    throw error;
  }
}

/** @returns null where it is refused: of what nobody has to have */
export async function unlessRefused<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}

/** What the user reads: one sentence for what they can mend, a stack trace for what they asked to see. */
export function describeError(error: unknown, isVerbose: boolean): string {
  if (isVerbose && error instanceof Error) return printableLines(error.stack ?? error.message);
  const explained = explainSystemError(error);
  if (explained instanceof UserError || explained instanceof InterruptedError) return explained.message;
  return `unexpected failure: ${reasonOf(error)} (--verbose shows where)`;
}
