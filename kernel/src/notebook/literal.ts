/** Values as TypeScript literals, and words of the command line as values. */

import { assertPlain, findRoundedNumber, parseJson, printable, quote, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';

/** What a notebook can be given: JSON, and the numbers that JSON lacks. */
export type ParameterValue =
  | null
  | boolean
  | number
  | string
  | readonly ParameterValue[]
  | { readonly [key: string]: ParameterValue };

/**
 * Source text that evaluates to `value`, whatever the value holds.
 * @throws NotebookError for what is no value, or is nested deeper than JSON of strangers may be
 */
export function toTypeScript(value: ParameterValue): string {
  try {
    assertPlain(value, 'it');
  } catch (error) {
    throw new NotebookError(`invalid parameter value: ${reasonOf(error)}`);
  }
  return writeLiteral(value);
}

function writeLiteral(value: ParameterValue): string {
  if (typeof value === 'number') return toNumberLiteral(value);
  if (typeof value === 'string') return toStringLiteral(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return `[${value.map(writeLiteral).join(', ')}]`;
  if (typeof value !== 'object')
    throw new NotebookError(`invalid parameter value: ${quote(value)}; expected JSON, NaN or Infinity`);
  const fields = Object.entries(value).map(([key, part]) => `${toKey(key)}: ${writeLiteral(part)}`);
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

function toNumberLiteral(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Line and paragraph separators are escaped for readers that take them for line ends. */
function toStringLiteral(value: string): string {
  return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

/** `__proto__: …` in a literal would set the prototype; computed, it is a key like any other. */
function toKey(key: string): string {
  if (key === '__proto__') return '["__proto__"]';
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : toStringLiteral(key);
}

const words: Readonly<Record<string, ParameterValue>> = {
  null: null,
  true: true,
  false: false,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/** A value as somebody wrote it; what it means depends on what is declared. */
export class WrittenValue {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /**
   * JSON, NaN, Infinity, or else plain text.
   * @throws NotebookError for a number that JavaScript would turn into another one
   */
  toValue(name: string): ParameterValue {
    if (Object.hasOwn(words, this.text)) return words[this.text];
    const value = maybeJson(this.text);
    if (value === undefined) return this.text;
    const rounded = findRoundedNumber(this.text);
    if (rounded === null) return value;
    throw new NotebookError(
      `invalid parameter ${name}: ${printable(rounded)} would become another number; expected one that 64 bits hold, whole ones up to ${Number.MAX_SAFE_INTEGER}; or hand it over as text, in quotes`,
    );
  }

  /** The same where text is declared: `2024` and `true` are text, `"2024"` is the same text. */
  toText(): string {
    const value = this.text.startsWith('"') ? maybeJson(this.text) : undefined;
    return typeof value === 'string' ? value : this.text;
  }
}

/** `key=value`, such as `quick=true`. @throws NotebookError */
export function parseAssignment(text: string): readonly [name: string, value: WrittenValue] {
  const border = text.indexOf('=');
  const name = text.slice(0, border).trim();
  if (border < 1 || !/^[A-Za-z_$][\w$]*$/.test(name))
    throw new NotebookError(`invalid parameter: ${text}; expected key=value, such as quick=true`);
  return [name, new WrittenValue(text.slice(border + 1))];
}

function maybeJson(text: string): ParameterValue | undefined {
  try {
    return parseJson(text, 'the value') as ParameterValue;
  } catch {
    return undefined;
  }
}
