/** What goes wrong because of what somebody handed over. */

import { printable, quote } from './text.js';

/** A failure the user can mend: one sentence that names what was wrong, what was expected and what to do. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** What an error says, or whatever else was thrown, as one line that a terminal can show. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? printable(error.message) : quote(error);
}
