/** One output of a cell as HTML: the richest form of it that a page without a server can show. */

import { isRecord } from '@specoffload/input';
import { escapeHtml } from '../display/escape.js';
import { type Figure, figureHtml } from '../display/plotly.js';
import type { CellOutput, MimeBundle } from '../notebook/format.js';
import { renderFormula, unwrapFormula } from './formula.js';
import { renderMarkdown } from './markdown.js';
import { sanitizeHtml } from './sanitize.js';
import { renderText } from './text.js';

const plotlyMime = 'application/vnd.plotly.v1+json';

export function renderOutput(output: CellOutput): string {
  if (output.output_type === 'stream') return `<pre class="${output.name}">${renderText(output.text)}</pre>`;
  if (output.output_type === 'error') return `<pre class="error">${renderText(describeError(output))}</pre>`;
  return renderBundle(output.data);
}

/** Whether the page has to hold plotly.js for it. */
export function needsPlotly(output: CellOutput): boolean {
  return 'data' in output && toFigure(output.data[plotlyMime]) !== null;
}

/** Kinds of traces that plotly.js draws with WebGL, for which it makes functions out of texts of its own. */
const drawnByWebGl = /gl$|3d$|^(?:cone|isosurface|mesh3d|parcoords|splom|streamtube|surface|volume)$/;

export function needsWebGl(output: CellOutput): boolean {
  const figure = 'data' in output ? toFigure(output.data[plotlyMime]) : null;
  return (
    figure?.data.some(
      (trace) => isRecord(trace) && typeof trace.type === 'string' && drawnByWebGl.test(trace.type),
    ) ?? false
  );
}

function describeError({ ename, evalue, traceback }: Extract<CellOutput, { output_type: 'error' }>): string {
  return traceback.length > 0 ? traceback.join('\n') : `${ename}: ${evalue}`;
}

type Renderer = readonly [mime: string, render: (text: string) => string];

/** Richest first. */
const renderers: readonly Renderer[] = [
  ['text/html', renderHtml],
  ['image/svg+xml', renderHtml],
  ['image/png', (text) => renderImage('image/png', text)],
  ['image/jpeg', (text) => renderImage('image/jpeg', text)],
  ['image/gif', (text) => renderImage('image/gif', text)],
  ['image/webp', (text) => renderImage('image/webp', text)],
  ['text/markdown', (text) => renderMarkdown(text)],
  ['text/latex', renderLatex],
  ['text/plain', (text) => `<pre>${renderText(text)}</pre>`],
];

function renderBundle(data: MimeBundle): string {
  const figure = toFigure(data[plotlyMime]);
  if (figure !== null) return figureHtml(figure);
  for (const [mime, render] of renderers) {
    const part = data[mime];
    if (typeof part === 'string') return render(part);
  }
  const [mime, part] = Object.entries(data)[0] ?? ['nothing', null];
  return `<pre>${renderText(`${mime}: ${JSON.stringify(part, null, 1)}`)}</pre>`;
}

function toFigure(value: unknown): Figure | null {
  if (!isRecord(value) || !Array.isArray(value.data)) return null;
  return { data: value.data, layout: isRecord(value.layout) ? value.layout : {} };
}

/** More would take minutes to read here, and minutes to draw in a browser. */
const mostHtmlChars = 10_000_000;

function renderHtml(text: string): string {
  return text.length > mostHtmlChars
    ? `<p class="note">left out: HTML of ${text.length} characters; a page shows at most ${mostHtmlChars}</p>`
    : sanitizeHtml(text);
}

function renderLatex(text: string): string {
  const { latex, isDisplay } = unwrapFormula(text);
  return `<p class="formula">${renderFormula(latex, isDisplay)}</p>`;
}

function renderImage(mime: string, base64: string): string {
  return `<img alt="" src="data:${mime};base64,${escapeHtml(base64.replace(/\s/g, ''))}">`;
}
