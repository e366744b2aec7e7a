/** LaTeX as MathML, which browsers draw themselves: no fonts, no style sheet, no network. */

import { escapeHtml } from '../display/escape.js';
import { requireFromKernel } from '../packages.js';

/** Longer ones are no formulas that anybody reads. */
const mostChars = 10_000;
/** Of macros, which may expand into one another. */
const mostExpansions = 1000;
/** Of rules and spaces, in em. */
const mostEm = 50;

/** KaTeX shows no link and loads nothing here; what it cannot read is shown as it is written. */
export function renderFormula(latex: string, isDisplay: boolean): string {
  if (latex.length > mostChars) return showSource(latex, `longer than ${mostChars} characters`);
  // Loaded when there is a formula: it takes a while.
  const katex = requireFromKernel('katex') as typeof import('katex').default;
  try {
    return katex.renderToString(latex, {
      displayMode: isDisplay,
      output: 'mathml',
      trust: false,
      strict: 'ignore',
      maxExpand: mostExpansions,
      maxSize: mostEm,
    });
  } catch (error) {
    // Also where nesting has filled the stack.
    return showSource(latex, error instanceof Error ? error.message : 'unreadable');
  }
}

function showSource(latex: string, why: string): string {
  return `<code class="formula" title="${escapeHtml(why)}">${escapeHtml(latex)}</code>`;
}

/** LaTeX without what marks it as a formula, and whether it stands on its own: `$$a$$`, `\[a\]`, `$\displaystyle a$`. */
export function unwrapFormula(text: string): { readonly latex: string; readonly isDisplay: boolean } {
  const trimmed = text.trim();
  const display = /^(?:\$\$([\s\S]*)\$\$|\\\[([\s\S]*)\\\])$/.exec(trimmed);
  if (display) return { latex: display[1] ?? display[2], isDisplay: true };
  const inline = /^(?:\$([\s\S]*)\$|\\\(([\s\S]*)\\\))$/.exec(trimmed);
  const latex = inline ? (inline[1] ?? inline[2]) : trimmed;
  const isDisplay = !inline || /^\s*\\displaystyle\b/.test(latex);
  return { latex, isDisplay };
}
