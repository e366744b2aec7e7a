/** Colours TypeScript a little: comments, strings, numbers and keywords, no grammar. Linear in the length. */

import { escapeHtml } from '../display/escape.js';

const keywords =
  'as async await break case catch class const continue default delete do else enum export extends false finally for ' +
  'from function if implements import in instanceof interface let new null of readonly return static super switch ' +
  'this throw true try type typeof undefined var void while yield';

const token = new RegExp(
  [
    String.raw`(?<comment>\/\/|\/\*)`,
    String.raw`(?<string>['"\x60])`,
    String.raw`(?<number>\b\d[\w.]*)`,
    String.raw`(?<keyword>\b(?:${keywords.replaceAll(' ', '|')})\b)`,
  ].join('|'),
  'g',
);

/** Nobody reads longer ones for their colours, which would take many times their length. */
const mostChars = 200_000;

export function highlight(source: string): string {
  if (source.length > mostChars) return escapeHtml(source);
  // Where a quotation mark that nothing closes has been looked for already.
  const openUntil = new Map<string, number>();
  let html = '';
  let end = 0;
  token.lastIndex = 0;
  for (let match = token.exec(source); match !== null; match = token.exec(source)) {
    const { index } = match;
    const [kind] = Object.entries(match.groups!).find(([, text]) => text !== undefined)!;
    const close = findEnd(source, index, match[0], openUntil);
    token.lastIndex = close;
    if (close === index + 1 && kind === 'string') continue; // a quotation mark that nothing closes
    html += `${escapeHtml(source.slice(end, index))}<span class="${kind}">${escapeHtml(source.slice(index, close))}</span>`;
    end = close;
  }
  return html + escapeHtml(source.slice(end));
}

/** The offset behind a token that begins with `first`. */
function findEnd(source: string, start: number, first: string, openUntil: Map<string, number>): number {
  if (first === '//') return indexOrEnd(source, '\n', start);
  if (first === '/*') return Math.min(source.length, indexOrEnd(source, '*/', start + 2) + 2);
  if (!/['"`]/.test(first)) return start + first.length;
  if (start < (openUntil.get(first) ?? 0)) return start + 1;
  for (let at = start + 1; at < source.length; at++) {
    const character = source[at];
    if (character === first) return at + 1;
    if (character === '\\') at += 1;
    else if (character === '\n' && first !== '`') {
      openUntil.set(first, at);
      return start + 1;
    }
  }
  openUntil.set(first, source.length);
  return start + 1;
}

function indexOrEnd(source: string, text: string, start: number): number {
  const index = source.indexOf(text, start);
  return index < 0 ? source.length : index;
}
