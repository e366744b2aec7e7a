/** JSON written by strangers: of bounded size and depth, and errors that are one sentence. */

import { types } from 'node:util';
import { reasonOf, UserError } from './errors.js';
import { printable, quote } from './text.js';

export type JsonRecord = Readonly<Record<string, unknown>>;

export interface JsonLimits {
  /** In characters of the text. */
  readonly maxLength?: number;
  /** Lists and objects inside each other. What reads the value may then recurse without counting. */
  readonly maxDepth?: number;
}

/** Deeper than any file that the lab writes or reads, and far from where a recursion would end the stack. */
export const defaultMaxDepth = 100;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Parses JSON; a byte-order mark before it is passed over.
 * @param source named in the error: usually the file
 * @param remedy what to do about text that is no JSON
 * @throws UserError when the text is longer or deeper than the limits, or not JSON
 */
export function parseJson(
  text: string,
  source: string,
  { maxLength = 2 ** 28, maxDepth = defaultMaxDepth }: JsonLimits = {},
  remedy = 'check the file',
): unknown {
  const name = printable(source);
  if (text.length > maxLength)
    throw new UserError(`${name} has ${text.length} characters; expected at most ${maxLength}; ${remedy}`);
  if (isDeeperThan(text, maxDepth))
    throw new UserError(
      `${name} nests lists and objects more than ${maxDepth} deep; expected less; ${remedy}`,
    );
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw new UserError(`${name} is not valid JSON (${reasonOf(error)}); ${remedy}`, { cause: error });
  }
}

const quoteCode = '"'.charCodeAt(0);
const backslashCode = '\\'.charCodeAt(0);

/** Whether brackets outside of strings nest deeper than `maxDepth`; one look at each character, no recursion. */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isInString) {
      if (code === backslashCode) i += 1;
      else if (code === quoteCode) isInString = false;
    } else if (code === quoteCode) isInString = true;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1; // [ or {
      if (depth > maxDepth) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1; // ] or }
  }
  return false;
}

/**
 * Checks what came as an object of this process, such as a module's export: that it is data, which says the same
 * whenever it is read. What reads it may then recurse without counting.
 * @param source named in the error
 * @throws UserError for a getter, a proxy, or what nests deeper than `maxDepth`, itself included
 */
export function assertPlain(value: unknown, source: string, maxDepth = defaultMaxDepth): void {
  if (typeof value !== 'object' || value === null) return;
  if (maxDepth === 0)
    throw new UserError(`${source} nests lists and objects more than ${defaultMaxDepth} deep; expected less`);
  if (types.isProxy(value)) throw new UserError(`${source} holds a proxy; expected plain data`);
  for (const key of Object.keys(value)) {
    const field = Object.getOwnPropertyDescriptor(value, key);
    if (field?.get !== undefined || field?.set !== undefined)
      throw new UserError(`${source} computes its field ${quote(key)}; expected plain data`);
    assertPlain(field?.value, source, maxDepth - 1);
  }
}
