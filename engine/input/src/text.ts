/** The one way of a stranger's text to a terminal or into a sentence. */

import { types } from 'node:util';

/**
 * Control characters of ASCII and Latin-1, marks that reverse the order of writing, breaks of lines, lone surrogates,
 * and the invisible letters in which a text can hide another one.
 */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** Text of strangers on one line, without what a terminal would obey; each such character becomes a middle dot. */
export function printable(text: string): string {
  return text.replace(unprintable, '·');
}

/** The same for text of several lines: line feeds and tabs stay. */
export function printableLines(text: string): string {
  return text.replace(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : '·',
  );
}

/** JSON of the same value in which every such character is escaped: a document for programs that people may look at. */
export function printableJson(json: string): string {
  return json.replace(unprintable, (character) =>
    character === '\n'
      ? character
      : Array.from(
          { length: character.length },
          (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
        ).join(''),
  );
}

/**
 * A value as it stood in the file, cut short so that it fits into a sentence: JSON where there is JSON for it.
 *
 * Looks only as far as it writes, and calls neither methods nor getters, so that no value, however deep, large or
 * hostile, costs more than a short one.
 * @param maxLength in characters, dots included
 */
export function quote(value: unknown, maxLength = 80): string {
  const text = spell(value, maxLength + 1, 0);
  return printable(text.length > maxLength ? `${text.slice(0, maxLength - 3)}...` : text);
}

/** Deeper than this only says that something is there. */
const deepestQuoted = 8;

/** The beginning of a value's JSON, at least `room` characters of it where there are so many. */
function spell(value: unknown, room: number, depth: number): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value === 'bigint') return spellBigInt(value, room);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (types.isProxy(value)) return 'a proxy'; // any look at it would call its traps
  if (depth === deepestQuoted) return Array.isArray(value) ? '[...]' : '{...}';
  return Array.isArray(value) ? spellList(value, room, depth) : spellObject(value, room, depth);
}

/** Spelling a number of a million digits takes seconds: its size says enough. */
function spellBigInt(value: bigint, room: number): string {
  const bound = 10n ** BigInt(room);
  return -bound < value && value < bound ? String(value) : 'a huge whole number';
}

function spellList(list: readonly unknown[], room: number, depth: number): string {
  let text = '[';
  for (let i = 0; i < list.length && text.length < room; i++) {
    const item = fieldOf(list, String(i));
    text += (i === 0 ? '' : ',') + (item === undefined ? 'null' : spell(item, room - text.length, depth + 1));
  }
  return `${text}]`;
}

function spellObject(object: object, room: number, depth: number): string {
  let text = '{';
  for (const key of Object.keys(object)) {
    if (text.length >= room) break;
    const value = fieldOf(object, key);
    if (value === undefined) continue;
    text += `${text === '{' ? '' : ','}${JSON.stringify(key.slice(0, room))}:`;
    text += spell(value, Math.max(room - text.length, 1), depth + 1);
  }
  return `${text}}`;
}

/** What a field holds; undefined for one that would have to be asked. */
function fieldOf(object: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}
