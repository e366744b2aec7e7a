/** The one way of a stranger's text to a terminal or into a sentence. */

/** Control characters of ASCII and Latin-1, marks that reverse the order of writing, breaks of lines, lone surrogates. */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

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

/**
 * A value as it stood in the file, cut short so that it fits into a sentence: JSON where there is JSON for it.
 *
 * Looks only as far as it writes, and never calls a method of the value, so that no value, however deep, large or
 * hostile, costs more than a short one.
 * @param maxLength in characters, dots included
 */
export function quote(value: unknown, maxLength = 80): string {
  const text = printable(spell(value, maxLength + 1, 0));
  return text.length > maxLength ? `${text.slice(0, maxLength - 3)}...` : text;
}

/** Deeper than this only says that something is there. */
const deepestQuoted = 8;

/** The beginning of a value's JSON, at least `room` characters of it where there are so many. */
function spell(value: unknown, room: number, depth: number): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'boolean' || value === null) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  try {
    if (depth === deepestQuoted) return Array.isArray(value) ? '[...]' : '{...}';
    return Array.isArray(value) ? spellList(value, room, depth) : spellObject(value, room, depth);
  } catch {
    return 'an object that cannot be read'; // a proxy or a getter that throws
  }
}

function spellList(list: readonly unknown[], room: number, depth: number): string {
  let text = '[';
  for (let i = 0; i < list.length && text.length < room; i++)
    text +=
      (i === 0 ? '' : ',') + (list[i] === undefined ? 'null' : spell(list[i], room - text.length, depth + 1));
  return `${text}]`;
}

function spellObject(object: object, room: number, depth: number): string {
  let text = '{';
  for (const key in object) {
    if (text.length >= room) break;
    if (!Object.hasOwn(object, key)) continue;
    const value = (object as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) continue;
    text += `${text === '{' ? '' : ','}${JSON.stringify(key.slice(0, room))}:`;
    text += spell(value, Math.max(room - text.length, 1), depth + 1);
  }
  return `${text}}`;
}
