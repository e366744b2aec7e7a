/** Whether code is worth sending off, or wants another line, or is wrong however it goes on. */

import type { JsonObject } from '../json.js';
import { tslabTypescript } from './typescript.js';

/** TypeScript's numbers for what lacks its end: on another line, or on its own, where it has to be. */
const goesOn: readonly number[] = [1010, 1160]; // comment, template
const endsWithLine: readonly number[] = [1002, 1161]; // string, regular expression

/** The content of an `is_complete_reply`. */
export function judgeCompleteness(code: string): JsonObject {
  const ts = tslabTypescript();
  const { parseDiagnostics } = ts.createSourceFile('cell.ts', code, ts.ScriptTarget.Latest, false);
  if (parseDiagnostics.length === 0) return { status: 'complete' };
  const has = (codes: readonly number[]) => parseDiagnostics.some(({ code }) => codes.includes(code));
  // Once something lacks its end, what else is said of the code follows from that.
  if (has(goesOn)) return { status: 'incomplete', indent: '' };
  const lastOffset = code.trimEnd().length;
  const isWrong = has(endsWithLine) || parseDiagnostics.some(({ start }) => start < lastOffset);
  return isWrong ? { status: 'invalid' } : { status: 'incomplete', indent: indentAfter(code) };
}

/** As the last line, and two more where that opens something. */
function indentAfter(code: string): string {
  const line = code.trimEnd().split('\n').at(-1)!;
  const own = /^\s*/.exec(line)![0];
  return /[([{]\s*$/.test(line) ? `${own}  ` : own;
}
