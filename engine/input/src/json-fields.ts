/**
 * Changes fields of a JSON text and leaves every other character as it is: numbers keep their spelling, which a value
 * that was read and written again would lose (0.0 becomes 0, 1e-05 becomes 0.00001, integers beyond 2^53 are rounded).
 */

import { isRecord, parseJson } from './json.js';

interface Member {
  readonly key: string;
  /** Of its value, in the text. */
  readonly start: number;
  readonly end: number;
}

/**
 * @param text an object; what holds a field twice gets both changed
 * @param fields new values, added at the end where the text does not have them
 * @param source named in the error
 * @throws UserError when the text is no JSON object
 */
export function withJsonFields(
  text: string,
  fields: Readonly<Record<string, unknown>>,
  source: string,
): string {
  const json = objectText(text, source);
  const members = findMembers(json);
  const indent = /^\s*/.exec(json.slice(json.indexOf('{') + 1))![0];
  const spell = (value: unknown) =>
    JSON.stringify(value, null, 2).replaceAll('\n', `\n${indent.replace(/.*\n/s, '')}`);
  let changed = '';
  let done = 0;
  for (const { key, start, end } of members) {
    if (!Object.hasOwn(fields, key)) continue;
    changed += json.slice(done, start) + spell(fields[key]);
    done = end;
  }
  const known = new Set(members.map(({ key }) => key));
  const added = Object.entries(fields)
    .filter(([key]) => !known.has(key))
    .map(([key, value]) => `${indent}${JSON.stringify(key)}: ${spell(value)}`);
  const border = members.at(-1)?.end ?? json.indexOf('{') + 1;
  const comma = members.length > 0 && added.length > 0 ? ',' : '';
  return changed + json.slice(done, border) + comma + added.join(',') + json.slice(border);
}

/** The text without a field, however often it is there, and the commas that go with it. @throws UserError when the text is no JSON */
export function withoutJsonField(given: string, field: string, source: string): string {
  const text = objectText(given, source);
  const members = findMembers(text);
  const index = members.findIndex(({ key }) => key === field);
  if (index < 0) return text;
  const { end } = members[index];
  const next = index === 0 && members.length > 1 ? text.indexOf(',', end) + 1 : end;
  const before = index === 0 ? text.indexOf('{') + 1 : members[index - 1].end;
  return withoutJsonField(text.slice(0, before) + text.slice(next), field, source);
}

/** Without a mark of byte order, which is no part of it. */
function objectText(text: string, source: string): string {
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (!isRecord(parseJson(json, source))) throw new TypeError(`${source} is no JSON object`);
  return json;
}

/** The outermost object's own, of valid JSON. */
function findMembers(json: string): Member[] {
  const members: Member[] = [];
  let depth = 0;
  let key: string | null = null;
  let start = -1;
  let end = -1;
  for (const { 0: token, index } of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    const closes = token === '}' || token === ']';
    if (closes) depth -= 1;
    const isBorder = (depth === 1 && token === ',') || (depth === 0 && closes);
    if (isBorder && key !== null) {
      members.push({ key, start, end });
      key = null;
      start = -1;
    } else if (depth === 1 && key === null && token.startsWith('"')) key = JSON.parse(token) as string;
    else if (key !== null && start < 0 && token !== ':') start = index;
    end = index + token.length;
    if (token === '{' || token === '[') depth += 1;
  }
  return members;
}
