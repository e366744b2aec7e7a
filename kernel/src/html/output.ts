/** One output of a cell as HTML: the richest form of it that a page without a server can show. */

import { stripVTControlCharacters } from 'node:util';
import { escapeHtml } from '../display/escape.js';
import { type Figure, figureHtml, plotlyScript } from '../display/plotly.js';
import { isObject } from '../json.js';
import type { CellOutput, MimeBundle } from '../notebook/format.js';
import { renderMarkdown } from './markdown.js';

const plotlyMime = 'application/vnd.plotly.v1+json';

export function renderOutput(output: CellOutput): string {
  if (output.output_type === 'stream') return `<pre class="${output.name}">${renderText(output.text)}</pre>`;
  if (output.output_type === 'error') return `<pre class="error">${renderText(describeError(output))}</pre>`;
  return renderBundle(output.data);
}

/** Whether the page has to hold plotly.js for it. */
export function needsPlotly(output: CellOutput): boolean {
  if (!('data' in output)) return false;
  const html = output.data['text/html'];
  return (
    toFigure(output.data[plotlyMime]) !== null || (typeof html === 'string' && html.includes(plotlyScript()))
  );
}

function describeError({ ename, evalue, traceback }: Extract<CellOutput, { output_type: 'error' }>): string {
  return traceback.length > 0 ? traceback.join('\n') : `${ename}: ${evalue}`;
}

type Renderer = readonly [mime: string, render: (text: string) => string];

/** Richest first. HTML and SVG are shown as the notebook holds them; only plotly.js is in the page already. */
const renderers: readonly Renderer[] = [
  ['text/html', (text) => text.replace(plotlyScript(), '')],
  ['image/svg+xml', (text) => text],
  ['image/png', (text) => renderImage('image/png', text)],
  ['image/jpeg', (text) => renderImage('image/jpeg', text)],
  ['image/gif', (text) => renderImage('image/gif', text)],
  ['text/markdown', renderMarkdown],
  ['text/latex', (text) => `<pre class="formula">${escapeHtml(withoutDollars(text))}</pre>`],
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
  return `<pre>${escapeHtml(`${mime}: ${JSON.stringify(part, null, 1)}`)}</pre>`;
}

function toFigure(value: unknown): Figure | null {
  if (!isObject(value) || !Array.isArray(value.data)) return null;
  return { data: value.data, layout: isObject(value.layout) ? value.layout : {} };
}

function withoutDollars(latex: string): string {
  return latex.trim().replace(/^\$\$?(?:\\displaystyle\s+)?([\s\S]*?)\$\$?$/, '$1');
}

function renderImage(mime: string, base64: string): string {
  return `<img alt="" src="data:${mime};base64,${escapeHtml(base64.replace(/\s/g, ''))}">`;
}

/** What a terminal would have shown in the end: no colours, and of an overwritten line the last state. */
function renderText(text: string): string {
  const shown = stripVTControlCharacters(text)
    .split('\n')
    .map((line) => line.replace(/\r$/, '').replace(/^.*\r/, ''))
    .join('\n');
  return escapeHtml(shown);
}
