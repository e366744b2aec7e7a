/** What a value from outside must be, in a few words: `is.onlyFields({ name: is.text })`. */

import * as v from 'valibot';
import { type Inner, inner, outer } from './inner.js';
import { isRecord, type JsonRecord } from './json.js';
import type { CheckedFields, Entries, MissableSchema, Schema } from './schema.js';
import { entriesKey, type Shape, shaped } from './schema-facts.js';

export { accepts } from './schema.js';
export { described, type Facts, factsAt, named } from './schema-facts.js';

/** `a`, `a or b`, `a, b or c`. */
export function listWords(words: readonly unknown[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Whatever passes the test. @param shape the same in JSON Schema */
export function such<Output>(
  test: (value: unknown) => boolean,
  expected: string,
  shape: Shape = {},
): Schema<Output> {
  return outer(shaped(v.custom(test, expected), shape));
}

/** For what none of several schemas is chosen for. */
export function neither(expected: string): Schema<never> {
  return such(() => false, expected);
}

/** What another parser makes of it, whose refusal is the sentence. */
export function parsed<Output>(parse: (value: unknown) => Output): Schema<Output> {
  return outer(v.pipe(v.unknown(), v.transform(parse)));
}

/** What a reader makes of it; undefined: it is not what was expected. */
export function readAs<Output>(
  read: (value: unknown) => Output | undefined,
  expected: string,
  shape: Shape = {},
): Schema<Output> {
  return outer(
    v.pipe(
      shaped(v.unknown(), shape),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const output = read(dataset.value);
        if (output !== undefined) return output;
        addIssue({ message: expected });
        return NEVER;
      }),
    ),
  );
}

/** The schema that its look decides for. @param among those that there are, for JSON Schema */
export function chosen<Output>(
  choose: (value: unknown) => Schema<Output>,
  among: readonly Schema[] = [],
): Schema<Output> {
  return outer(
    shaped(
      v.lazy((value) => inner(choose(value))),
      anyOf(among),
    ),
  );
}

const anyOf =
  (schemas: readonly Schema[]): Shape =>
  (walk) =>
    schemas.length > 0 ? { anyOf: schemas.map(walk) } : {};

/** What is made of it once it has been checked. */
export function into<Input, Output>(schema: Schema<Input>, make: (value: Input) => Output): Schema<Output> {
  return outer(v.pipe(inner(schema), v.transform(make as (value: unknown) => Output)));
}

/** What more must be true. @param at the field that is to blame */
export function that<Output>(
  schema: Schema<Output>,
  test: (value: Output) => boolean,
  expected: string | ((value: Output) => string),
  at?: keyof Output & string,
): Schema<Output> {
  const more = v.rawCheck<unknown>(({ dataset, addIssue }) => {
    if (!dataset.typed || test(dataset.value as Output)) return;
    const input = dataset.value as Output;
    const message = typeof expected === 'string' ? expected : expected(input);
    if (at === undefined) return addIssue({ message });
    const place = { type: 'unknown', origin: 'value', input, key: at, value: input[at] } as const;
    addIssue({ message, input: input[at], path: [place] });
  });
  return outer(v.pipe(inner(schema), more));
}

export const anything: Schema<unknown> = outer(v.unknown());

/** May be empty. */
export const anyText: Schema<string> = outer(shaped(v.string('a text'), { type: 'string' }));

export const text: Schema<string> = outer(
  shaped(v.pipe(v.string('a text'), v.nonEmpty('a text')), { type: 'string', minLength: 1 }),
);

export const flag: Schema<boolean> = outer(shaped(v.boolean('true or false'), { type: 'boolean' }));

export function matching(pattern: RegExp, expected: string): Schema<string> {
  const isOne = (value: unknown) => typeof value === 'string' && pattern.test(value);
  return such(isOne, expected, { type: 'string', pattern: pattern.source });
}

export function numberFrom(
  least: number,
  most: number,
  expected = `a number from ${least} to ${most}`,
): Schema<number> {
  const isOne = (value: unknown) => typeof value === 'number' && least <= value && value <= most;
  return such(isOne, expected, { type: 'number', ...limits(least, most) });
}

/** Those that say more than that it is a number. */
function limits(least: number, most: number) {
  return {
    ...(least === Number.MIN_VALUE
      ? { exclusiveMinimum: 0 }
      : least > -Number.MAX_VALUE && { minimum: least }),
    ...(most < Number.MAX_SAFE_INTEGER && { maximum: most }),
  };
}

export const number = numberFrom(-Number.MAX_VALUE, Number.MAX_VALUE, 'a number');

/** Above 0 and finite. */
export const positive = numberFrom(Number.MIN_VALUE, Number.MAX_VALUE, 'a number above 0');

/** From 0 and finite. */
export const amount = numberFrom(0, Number.MAX_VALUE, 'a number of at least 0');

export function wholeFrom(
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
  expected = `a whole number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`,
): Schema<number> {
  const isOne = (value: unknown) =>
    Number.isSafeInteger(value) && least <= (value as number) && (value as number) <= most;
  return such(isOne, expected, { type: 'integer', ...limits(least, most) });
}

export function oneOf<const Word extends string | number>(
  words: readonly Word[],
  expected = listWords(words),
): Schema<Word> {
  return outer(shaped(v.picklist(words as readonly string[], expected), { enum: words }));
}

export function orNull<Output>(schema: Schema<Output>): Schema<Output | null> {
  return outer(v.nullable(inner(schema)));
}

export function orMissing<Output>(schema: Schema<Output>): MissableSchema<Output> {
  return v.optional(inner(schema)) as unknown as MissableSchema<Output>;
}

/** What stands for a field that is missing. */
export function orElse<Output>(schema: Schema<Output>, value: Output): Schema<Output> {
  return outer(v.optional(inner(schema), value as never));
}

/** The first that it is, or what is wrong with the first that it nearly is. */
export function either<Outputs extends readonly unknown[]>(
  expected: string,
  ...schemas: { [Index in keyof Outputs]: Schema<Outputs[Index]> }
): Schema<Outputs[number]> {
  return outer(shaped(v.union(schemas.map(inner), expected), anyOf(schemas)));
}

export function listOf<Output>(
  item: Schema<Output>,
  { least = 0, most = Number.POSITIVE_INFINITY, expected = 'a list' }: ListWords = {},
): Schema<readonly Output[]> {
  // Before any item is looked at: so long that looking takes long, it is refused.
  const list = v.custom<unknown[]>((value) => Array.isArray(value) && value.length <= most, expected);
  const all = v.pipe(list, v.array(inner(item), expected), v.minLength(least, expected));
  const isLimited = Number.isFinite(most);
  return outer(
    shaped(all, (walk) => ({
      ...{ type: 'array', items: walk(item) },
      ...(least > 0 && { minItems: least }),
      ...(isLimited && { maxItems: most }),
    })),
  );
}

export interface ListWords {
  readonly least?: number;
  readonly most?: number;
  readonly expected?: string;
}

/** Whatever its fields are: none is looked at. */
export const object: Schema<JsonRecord> = such(isRecord, 'an object');

/** The same but for lists, which valibot takes for objects. A pipe would do, and takes half as long again. */
function noList(schema: Inner): Inner {
  const run: Inner['~run'] = (dataset, config) =>
    (Array.isArray(dataset.value) ? inner(object) : schema)['~run'](dataset, config);
  return { ...schema, '~run': run };
}

/** Of names that are data themselves. */
export function mapOf<Output>(value: Schema<Output>): Schema<Readonly<Record<string, Output>>> {
  const shape: Shape = (walk) => ({ type: 'object', additionalProperties: walk(value) });
  return outer(shaped(noList(v.record(v.string(), inner(value), 'an object')), shape));
}

/**
 * What each field is, its name says. Only those that are there are looked at: the fastest of many that may be missing.
 * @param choose throws a UserError for a name that may not be there
 */
export function byName<Output>(
  choose: (name: string) => Schema<Output>,
): Schema<Readonly<Record<string, Output>>> {
  const run: Inner['~run'] = (dataset, config) => {
    const input = dataset.value;
    if (!isRecord(input)) return inner(object)['~run'](dataset, config);
    const output: Record<string, unknown> = {};
    for (const key of Object.keys(input)) {
      const value = input[key];
      const field = inner(choose(key))['~run']({ value }, config);
      if (field.issues) return blame(input, key, value, field.issues[0]);
      if (key !== '__proto__') output[key] = field.value;
    }
    return { typed: true, value: output };
  };
  return outer({ ...inner(object), '~run': run });
}

/** What an object is of which one field is not what it should be. */
function blame(
  input: JsonRecord,
  key: string,
  value: unknown,
  issue: v.BaseIssue<unknown>,
): ReturnType<Inner['~run']> {
  const place = { type: 'unknown', origin: 'value', input, key, value } as const;
  const path = [place, ...(issue.path ?? [])] as never;
  return { typed: false, value: input, issues: [{ ...issue, path }] };
}

/** Fields that are not named are let through. */
export function fields<const Of extends Entries>(entries: Of): Schema<CheckedFields<Of>> {
  return withEntries(v.looseObject(toInner(entries), missing(entries)), entries);
}

/** Fields that are not named are left out. */
export function picked<const Of extends Entries>(entries: Of): Schema<CheckedFields<Of>> {
  const object = withEntries(v.object(toInner(entries), missing(entries)), entries);
  return outer({ ...object, '~run': pickedRun(Object.entries(entries), inner(object)) });
}

/**
 * The same as valibot's in a third of its time, for traces and records of many thousand objects. valibot is left those
 * that it must fill up or refuse since fields are missing.
 */
function pickedRun(entries: [string, Schema][], object: Inner): Inner['~run'] {
  const fields = entries.map(([key, schema]) => ({ key, schema: inner(schema), mayMiss: mayMiss(schema) }));
  return (dataset, config) => {
    const input = dataset.value;
    if (!isRecord(input)) return object['~run'](dataset, config);
    const output: Record<string, unknown> = {};
    for (const { key, schema, mayMiss } of fields) {
      const value = input[key];
      if (value === undefined && mayMiss && !(key in input)) continue;
      if (value === undefined) return object['~run'](dataset, config);
      const field = schema['~run']({ value }, config);
      if (field.issues) return blame(input, key, value, field.issues[0]);
      output[key] = field.value;
    }
    return { typed: true, value: output };
  };
}

/** And is then left out. */
function mayMiss(schema: Schema): boolean {
  const { type, default: otherwise } = inner(schema) as Inner & { default?: unknown };
  return type === 'optional' && otherwise === undefined;
}

/** Fields that are not named are refused: a slip of the pen, or nothing would look at them. */
export function onlyFields<const Of extends Entries>(entries: Of): Schema<CheckedFields<Of>> {
  return withEntries(v.strictObject(toInner(entries), missing(entries)), entries);
}

/** One of several objects, told apart by the word in one of their fields. */
export function variant<Name extends string, Outputs extends Readonly<Record<string, unknown>>>(
  name: Name,
  schemas: { readonly [Word in keyof Outputs]: Schema<Outputs[Word]> },
): Schema<Outputs[keyof Outputs]> {
  const words = Object.keys(schemas);
  const word = fields({ [name]: oneOf(words) });
  const choose = v.lazy((value) => inner(schemas[(value as Record<Name, string>)[name]] as Schema));
  return outer(v.pipe(inner(word), choose));
}

function withEntries<Of extends Entries>(schema: Inner, entries: Of): Schema<CheckedFields<Of>> {
  return { ...noList(schema), [entriesKey]: entries } as never;
}

function toInner(entries: Entries): Record<string, Inner> {
  // Without a prototype: `__proto__` is a name like any other.
  return Object.assign(Object.create(null), entries);
}

/** What was expected of a field that is missing, or names of those there are. */
function missing(entries: Entries) {
  return ({ expected, path }: v.BaseIssue<unknown>): string => {
    if (expected === 'never') return listWords(Object.keys(entries));
    const field = entries[String(path?.[0]?.key)];
    return (field && v.safeParse(inner(field), undefined).issues?.[0].message) ?? 'an object';
  };
}
