/** Colours TypeScript a little: comments, strings, numbers and keywords, no grammar. */

import { escapeHtml } from '../display/escape.js';

const keywords =
  'as async await break case catch class const continue default delete do else enum export extends false finally for ' +
  'from function if implements import in instanceof interface let new null of readonly return static super switch ' +
  'this throw true try type typeof undefined var void while yield';

const token = new RegExp(
  [
    String.raw`(?<comment>\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))`,
    String.raw`(?<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\x60(?:\\.|[^\x60\\])*\x60)`,
    String.raw`(?<number>\b\d[\w.]*)`,
    String.raw`(?<keyword>\b(?:${keywords.replaceAll(' ', '|')})\b)`,
  ].join('|'),
  'g',
);

export function highlight(source: string): string {
  let html = '';
  let end = 0;
  for (const match of source.matchAll(token)) {
    const [kind] = Object.entries(match.groups!).find(([, text]) => text !== undefined)!;
    html += `${escapeHtml(source.slice(end, match.index))}<span class="${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(source.slice(end));
}
