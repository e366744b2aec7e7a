/** Markdown as HTML, its formulas as MathML. What a text brings along as HTML is cleaned afterwards (`sanitize.ts`). */

import { isRecord } from '@specoffload/input';
import { Marked, type TokenizerAndRendererExtension } from 'marked';
import { escapeHtml } from '../display/escape.js';
import type { JsonObject } from '../json.js';
import { renderFormula } from './formula.js';
import { sanitizeHtml } from './sanitize.js';
import { withinMilliseconds } from './time-limit.js';

/** Longer, deeper or slower ones are shown as they are written. */
const mostChars = 500_000;
const mostLevels = 50;
const mostMilliseconds = 3000;

/**
 * @param attachments images of the cell by name, each by media type, as the notebook format keeps them
 * @returns HTML that runs nothing
 */
export function renderMarkdown(text: string, attachments: JsonObject = {}): string {
  if (text.length > mostChars) return showSource(text, `longer than ${mostChars} characters`);
  if (countLevels(text) > mostLevels) return showSource(text, `nested more than ${mostLevels} deep`);
  let html: string | null;
  try {
    html = withinMilliseconds(mostMilliseconds, () => marked.parse(text, { async: false }));
  } catch {
    return showSource(text, 'nested too deep'); // the stack is full
  }
  if (html === null) return showSource(text, `not read within ${mostMilliseconds / 1000} s`);
  return sanitizeHtml(html, { findImage: (url) => findAttachment(url, attachments) });
}

function showSource(text: string, why: string): string {
  const shown = text.slice(0, mostChars);
  return `<p class="note">shown as it is written: Markdown ${why}</p><pre>${escapeHtml(shown)}</pre>`;
}

/** How deep quotations and lists nest, by what lines begin with: marked needs the square of it in time, and the stack. */
function countLevels(text: string): number {
  let most = 0;
  for (const line of text.split('\n')) {
    const [start] = /^(?:[ \t]|>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))*/.exec(line)!;
    const marks = start.match(/>|[-*+]|\d+[.)]/g)?.length ?? 0;
    const isList = /[-*+.)][ \t]*$/.test(start);
    most = Math.max(most, marks + (isList ? (start.length - marks) / 4 : 0));
  }
  return most;
}

const imageTypes = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/svg+xml'];

/** `attachment:name.png` as the image itself; null for any other address. */
function findAttachment(url: string, attachments: JsonObject): string | null {
  if (!url.startsWith('attachment:')) return null;
  const bundle = attachments[decodeName(url.slice('attachment:'.length))];
  if (!isRecord(bundle)) return null;
  for (const type of imageTypes) {
    const data = bundle[type];
    const base64 = Array.isArray(data) ? data.join('') : data;
    if (typeof base64 === 'string') return `data:${type};base64,${base64.replace(/\s/g, '')}`;
  }
  return null;
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** No longer than this, so that one that never ends is looked for no further. */
const within = '{1,5000}?';
/** A formula holds no empty line. */
const any = String.raw`(?:(?!\n[ \t]*\n)[\s\S])`;
const environments =
  'align|aligned|alignat|array|bmatrix|Bmatrix|cases|equation|gather|gathered|matrix|pmatrix|smallmatrix|split|vmatrix|Vmatrix';
const display = new RegExp(
  String.raw`^ {0,3}(?:\$\$(${any}${within})\$\$|\\{1,2}\[(${any}${within})\\{1,2}\]|(\\begin\{((?:${environments})\*?)\}${any}${within}\\end\{\4\}))`,
);

const displayFormula: TokenizerAndRendererExtension = {
  name: 'displayFormula',
  level: 'block',
  // Where a line begins with it; within a line it is part of the paragraph.
  start: (text) => findStart(text, /(?<=\n) {0,3}(?:\$\$|\\{1,2}\[|\\begin\{)/),
  tokenizer: (text) => toToken('displayFormula', display.exec(text)),
  renderer: ({ formula }) => `<p class="formula">${renderFormula(String(formula), true)}</p>\n`,
};

/** Within a paragraph. */
const displayInline: TokenizerAndRendererExtension = {
  ...displayFormula,
  name: 'displayInline',
  level: 'inline',
  start: (text) => findStart(text, /\$\$|\\{1,2}\[|\\begin\{/),
  tokenizer: (text) => toToken('displayInline', display.exec(text)),
  renderer: ({ formula }) => renderFormula(String(formula), true),
};

/**
 * Dollars as Jupyter reads them: no space inside, no digit behind, so that prices stay prices; nor code. `\(a\)` is
 * written with one backslash or, as Jupyter wants it, with two.
 */
const inline = /^(?:\$(?!\s)([^$\n`]{0,5000}[^$\s`])\$(?!\d)|\\{1,2}\(([^\n]{1,5000}?)\\{1,2}\))/;

const inlineFormula: TokenizerAndRendererExtension = {
  name: 'inlineFormula',
  level: 'inline',
  start: (text) => findStart(text, /\$|\\{1,2}\(/),
  tokenizer: (text) => toToken('inlineFormula', inline.exec(text)),
  renderer: ({ formula }) => renderFormula(String(formula), false),
};

function findStart(text: string, pattern: RegExp): number | undefined {
  const index = text.search(pattern);
  return index < 0 ? undefined : index;
}

function toToken(type: string, match: RegExpExecArray | null) {
  if (match === null) return undefined;
  const formula = match.slice(1).find((part) => part !== undefined)!;
  return { type, raw: match[0], formula: formula.trim() };
}

const marked = new Marked({ gfm: true, extensions: [displayFormula, displayInline, inlineFormula] });
