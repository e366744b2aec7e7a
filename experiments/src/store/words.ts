/** What records are made of, beside what every file is made of. */

import { is, type Schema } from '@specoffload/input';

/** Numbers of things: bytes, tokens, cores. */
export const count = is.wholeFrom(0, Number.MAX_SAFE_INTEGER, 'a whole number');

/** A sum of durations may exceed the whole by its rounding. */
export const fraction = is.numberFrom(0, 1 + 1e-9, '0 to 1');

export const digest = is.matching(/^[0-9a-f]{16,64}$/, 'a hex digest');

const timeWords = 'a time such as 2026-01-31T12:00:00.000Z';
export const isoTime = is.that(
  is.matching(/^\d{4}-\d\d-\d\dT/, timeWords),
  (text) => !Number.isNaN(Date.parse(text)),
  timeWords,
);

/** A value as a definition, a record and a table hold it; lists are acceptance rates by position. */
export type SettingValue = string | number | readonly number[];
export const setting = is.such<SettingValue>(
  (value) =>
    typeof value === 'string' ||
    Number.isFinite(value) ||
    (Array.isArray(value) && value.every((item) => Number.isFinite(item))),
  'a text, a number or a list of numbers',
);

/** The same where some names may be missing and others may be there: what a machine's lanes are called, it says itself. */
export function keyedAtMost<Output>(
  names: readonly string[],
  schemaOf: (name: string) => Schema<Output>,
): Schema<Readonly<Record<string, Output>>> {
  return is.fields(
    Object.fromEntries(names.map((name) => [name, is.orMissing(schemaOf(name))])),
  ) as Schema as never;
}

/** An object with a field of each name. */
export function keyed<Name extends string, Output>(
  names: readonly Name[],
  schemaOf: (name: Name) => Schema<Output>,
): Schema<Readonly<Record<Name, Output>>> {
  return is.picked(Object.fromEntries(names.map((name) => [name, schemaOf(name)]))) as never;
}
