/**
 * What a value from outside must be, in a few words, and one sentence about the first thing that is not so. valibot does
 * the checking and stays in here: its types are larger than what the notebooks' compiler should have to read.
 */

import * as v from 'valibot';
import { UserError } from './errors.js';
import { isRecord, type JsonRecord } from './json.js';
import { entriesKey } from './schema-facts.js';
import { printable, quote } from './text.js';

export { described, type Facts, factsAt } from './schema-facts.js';

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

type Entries = Readonly<Record<string, Schema>>;
type MissableNames<Of extends Entries> = {
  [Name in keyof Of]: Of[Name] extends MissableSchema ? Name : never;
}[keyof Of];

/** An object of such fields. */
export type CheckedFields<Of extends Entries> = {
  readonly [Name in keyof Of as Name extends MissableNames<Of> ? never : Name]: Checked<Of[Name]>;
} & { readonly [Name in MissableNames<Of>]?: Exclude<Checked<Of[Name]>, undefined> };

type Inner = v.GenericSchema<unknown, unknown>;
const inner = (schema: Schema): Inner => schema as unknown as Inner;
const outer = <Output>(schema: object): Schema<Output> => schema as Schema<Output>;

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
    throw error;
  }
}

/** Whether {@link check} would let it through. */
export function accepts<Output>(schema: Schema<Output>, value: unknown): value is Output {
  return v.is(inner(schema), value);
}

/** `a`, `a or b`, `a, b or c`. */
export function listWords(words: readonly unknown[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Whatever passes the test. */
export function such<Output>(test: (value: unknown) => boolean, expected: string): Schema<Output> {
  return outer(v.custom(test, expected));
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
): Schema<Output> {
  return outer(
    v.pipe(
      v.unknown(),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const output = read(dataset.value);
        if (output !== undefined) return output;
        addIssue({ message: expected });
        return NEVER;
      }),
    ),
  );
}

/** The schema that its look decides for. */
export function chosen<Output>(choose: (value: unknown) => Schema<Output>): Schema<Output> {
  return outer(v.lazy((value) => inner(choose(value))));
}

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
export const anyText: Schema<string> = outer(v.string('a text'));

export const text: Schema<string> = outer(v.pipe(v.string('a text'), v.nonEmpty('a text')));

export const flag: Schema<boolean> = outer(v.boolean('true or false'));

export function matching(pattern: RegExp, expected: string): Schema<string> {
  return such((value) => typeof value === 'string' && pattern.test(value), expected);
}

export function numberFrom(
  least: number,
  most: number,
  expected = `a number from ${least} to ${most}`,
): Schema<number> {
  return such((value) => typeof value === 'number' && least <= value && value <= most, expected);
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
  return such(isOne, expected);
}

export function oneOf<const Word extends string | number>(
  words: readonly Word[],
  expected = listWords(words),
): Schema<Word> {
  return outer(v.picklist(words as readonly string[], expected));
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
  return outer(v.union(schemas.map(inner), expected));
}

export function listOf<Output>(
  item: Schema<Output>,
  { least = 0, most = Number.POSITIVE_INFINITY, expected = 'a list' }: ListWords = {},
): Schema<readonly Output[]> {
  // Before any item is looked at: so long that looking takes long, it is refused.
  const list = v.custom<unknown[]>((value) => Array.isArray(value) && value.length <= most, expected);
  return outer(v.pipe(list, v.array(inner(item), expected), v.minLength(least, expected)));
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
  return outer(noList(v.record(v.string(), inner(value), 'an object')));
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
      if (field.issues) {
        const [issue] = field.issues;
        const place = { type: 'unknown', origin: 'value', input, key, value } as const;
        const path = [place, ...(issue.path ?? [])] as never;
        return { typed: false, value: output, issues: [{ ...issue, path }] };
      }
      if (key !== '__proto__') output[key] = field.value;
    }
    return { typed: true, value: output };
  };
  return outer({ ...inner(object), '~run': run });
}

/** Fields that are not named are let through. */
export function fields<const Of extends Entries>(entries: Of): Schema<CheckedFields<Of>> {
  return withEntries(v.looseObject(toInner(entries), missing(entries)), entries);
}

/** Fields that are not named are left out. */
export function picked<const Of extends Entries>(entries: Of): Schema<CheckedFields<Of>> {
  return withEntries(v.object(toInner(entries), missing(entries)), entries);
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
