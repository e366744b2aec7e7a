/**
 * What a value from outside must be, and one sentence about the first thing that is not so. valibot does the checking
 * and stays behind this: its types are larger than what the notebooks' compiler should have to read.
 */

import * as v from 'valibot';
import { UserError } from './errors.js';
import { inner } from './inner.js';
import { assertPlain } from './json.js';
import { printable, quote } from './text.js';

/** What a value must be; `Output` is what it then is. */
export interface Schema<Output = unknown> {
  /** For the compiler alone: nothing is there. */
  readonly '~output'?: () => Output;
}

/** A field that may be missing. */
export interface MissableSchema<Output = unknown> extends Schema<Output | undefined> {
  readonly '~missable': true;
}

/** What a value is that was checked. */
export type Checked<Of> = Of extends Schema<infer Output> ? Output : never;

export type Entries = Readonly<Record<string, Schema>>;
type MissableNames<Of extends Entries> = {
  [Name in keyof Of]: Of[Name] extends MissableSchema ? Name : never;
}[keyof Of];

/** An object of such fields. */
export type CheckedFields<Of extends Entries> = {
  readonly [Name in keyof Of as Name extends MissableNames<Of> ? never : Name]: Checked<Of[Name]>;
} & { readonly [Name in MissableNames<Of>]?: Exclude<Checked<Of[Name]>, undefined> };

/** What {@link check} calls the value itself, and what to do about one that is wrong. */
export interface CheckWords {
  readonly whole?: string;
  readonly remedy?: string;
}

/**
 * Checks plain data, such as JSON or what {@link assertPlain} let through.
 * @param source named in the message, usually the file
 * @returns a copy; fields that the schema does not name are in it where it lets them through
 * @throws UserError: `mine.json: invalid memory.deviceBytes: "much"; expected a number above 0`
 */
export function check<Output>(
  schema: Schema<Output>,
  value: unknown,
  source: string,
  { whole = 'content', remedy = '' }: CheckWords = {},
): Output {
  const prefix = source === '' ? '' : `${source}: `;
  const result = parseWith(schema, value, prefix);
  if (result.success) return result.output as Output;
  const { path = [], input, message, type, expected } = result.issues[0];
  const place = path.map(({ key }) => printable(String(key).slice(0, 80))).join('.') || whole;
  const isStray = type === 'strict_object' && expected === 'never';
  const what = isStray ? `unknown field: ${place}` : `invalid ${place}: ${quote(input)}`;
  throw new UserError(`${prefix}${what}; expected ${message}${remedy && `; ${remedy}`}`);
}

function parseWith(schema: Schema, value: unknown, prefix: string) {
  try {
    return v.safeParse(inner(schema), value, { abortEarly: true });
  } catch (error) {
    // Another parser's sentence, see `parsed`.
    if (error instanceof UserError) throw new UserError(`${prefix}${error.message}`);
    assertPlain(value, prefix.replace(/: $/, '') || 'the value'); // a getter that throws when it is asked
    throw error;
  }
}

/** Whether {@link check} would let it through. */
export function accepts<Output>(schema: Schema<Output>, value: unknown): value is Output {
  try {
    return v.is(inner(schema), value);
  } catch {
    return false; // a getter that throws when it is asked
  }
}
