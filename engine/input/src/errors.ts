/** What goes wrong because of what somebody handed over. */

import { isNativeError } from 'node:util/types';
import { printable, quote } from './text.js';

/**
 * A failure the user can mend: one sentence that names what was wrong, what was expected and what to do. Whatever a
 * stranger wrote into it, it is one line, and no terminal obeys it.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }
}

/** Whether a system call failed with one of these codes, such as `ENOENT`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return isError(error) && 'code' in error && codes.includes(error.code as string);
}

/** What an error says, or whatever else was thrown, as one line that a terminal can show. */
export function reasonOf(error: unknown): string {
  try {
    return isError(error) && typeof error.message === 'string' ? printable(error.message) : quote(error);
  } catch {
    return 'something that cannot be read'; // its getter threw
  }
}

/** Also one of another realm, or from a thread; not fooled by what throws when it is looked at. */
export function isError(error: unknown): error is Error {
  try {
    return isNativeError(error) || error instanceof Error;
  } catch {
    return false;
  }
}
