/** Reading an object that came from a file: each field with its check, and one sentence about the first that is wrong. */

import { isRecord, type JsonRecord, quote, UserError } from '@specoffload/input';

export class Fields {
  readonly #fields: JsonRecord;
  readonly #source: string;
  /** Of the object within the file, `memory.`; empty for the whole. */
  readonly #path: string;

  /** @param source named in messages: the file, and where it has several objects, which. */
  constructor(value: unknown, source: string, path = '') {
    this.#source = source;
    this.#path = path;
    if (!isRecord(value))
      throw new UserError(
        `${source}: invalid${path === '' ? '' : ` ${path.slice(0, -1)}`}; expected an object`,
      );
    this.#fields = value;
  }

  refuse(field: string, expected: string): never {
    throw new UserError(
      `${this.#source}: invalid ${this.#path}${field}: ${quote(this.#get(field))}; expected ${expected}`,
    );
  }

  /** Refuses a slip of the pen: a field that nothing would look at. */
  assertKnown(known: readonly string[]): void {
    const stray = Object.keys(this.#fields).find((field) => !known.includes(field));
    if (stray !== undefined)
      throw new UserError(
        `${this.#source}: invalid field: ${this.#path}${stray}; expected one of ${known.join(', ')}`,
      );
  }

  /** The object's own names. */
  get names(): readonly string[] {
    return Object.keys(this.#fields);
  }

  object(field: string): Fields {
    return new Fields(this.#get(field), this.#source, `${this.#path}${field}.`);
  }

  list<Entry>(field: string, parse: (entry: Fields) => Entry): Entry[] {
    const value = this.#get(field);
    if (!Array.isArray(value)) return this.refuse(field, 'a list');
    return value.map((entry, index) =>
      parse(new Fields(entry, this.#source, `${this.#path}${field}.${index}.`)),
    );
  }

  /** What another parser checks. */
  raw(field: string): unknown {
    return this.#get(field);
  }

  text(field: string): string {
    const value = this.#get(field);
    return typeof value === 'string' && value !== '' ? value : this.refuse(field, 'a text');
  }

  texts(field: string): string[] {
    const value = this.#get(field);
    const isTexts = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return isTexts ? value : this.refuse(field, 'a list of texts');
  }

  word<Word extends string>(field: string, words: readonly Word[]): Word {
    const value = this.#get(field);
    return words.includes(value as Word) ? (value as Word) : this.refuse(field, words.join(', '));
  }

  count(field: string, most = 2 ** 31): number {
    const value = this.#get(field);
    return Number.isInteger(value) && 1 <= (value as number) && (value as number) <= most
      ? (value as number)
      : this.refuse(field, `a whole number from 1 to ${most}`);
  }

  number(field: string): number {
    const value = this.#get(field);
    return Number.isFinite(value) && (value as number) > 0
      ? (value as number)
      : this.refuse(field, 'a number above 0');
  }

  between(field: string, least: number, most: number): number {
    const value = this.#get(field);
    return typeof value === 'number' && least <= value && value <= most
      ? value
      : this.refuse(field, `a number from ${least} to ${most}`);
  }

  orNull<Value>(field: string, read: (field: string) => Value): Value | null {
    return this.#get(field) === null ? null : read(field);
  }

  #get(field: string): unknown {
    return Object.hasOwn(this.#fields, field) ? this.#fields[field] : undefined;
  }
}
