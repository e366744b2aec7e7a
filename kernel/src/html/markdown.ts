/** Markdown as HTML. Formulas keep their LaTeX as text: nothing in them is emphasis or a link. */

import { Marked, type TokenizerAndRendererExtension } from 'marked';
import { escapeHtml } from '../display/escape.js';

/** HTML inside the text stays HTML: that is part of the notebook format. */
export function renderMarkdown(text: string): string {
  return marked.parse(text, { async: false });
}

const blockFormula: TokenizerAndRendererExtension = {
  name: 'blockFormula',
  level: 'block',
  start: (text) => text.indexOf('$$'),
  tokenizer(text) {
    const match = /^\$\$([\s\S]+?)\$\$/.exec(text);
    return match ? { type: 'blockFormula', raw: match[0], formula: match[1]!.trim() } : undefined;
  },
  renderer: ({ formula }) => `<pre class="formula">${escapeHtml(String(formula))}</pre>\n`,
};

/** As Jupyter reads it: no space inside the dollars, no digit behind them, so that prices stay prices; nor code. */
const inlineFormula: TokenizerAndRendererExtension = {
  name: 'inlineFormula',
  level: 'inline',
  start: (text) => text.indexOf('$'),
  tokenizer(text) {
    const match = /^\$(?!\s)([^$\n`]*[^$\s`])\$(?!\d)/.exec(text);
    return match ? { type: 'inlineFormula', raw: match[0], formula: match[1]! } : undefined;
  },
  renderer: ({ formula }) => `<code class="formula">${escapeHtml(String(formula))}</code>`,
};

const marked = new Marked({ gfm: true, extensions: [blockFormula, inlineFormula] });
