/**
 * A notebook as one HTML page that needs no network and no server.
 *
 * The page shows what the notebook holds and obeys nothing of it: HTML is kept by allow-list (`sanitize.ts`), and the
 * page's policy lets no script run but the lab's own and nothing come from another place.
 */

import { createHash } from 'node:crypto';
import { escapeHtml } from '../display/escape.js';
import { figureScripts, plotlyScript } from '../display/plotly.js';
import type { Cell, CodeCell, Notebook } from '../notebook/format.js';
import { saveFile } from '../notebook/save.js';
import { highlight } from './highlight.js';
import { renderMarkdown } from './markdown.js';
import { needsPlotly, needsWebGl, renderOutput } from './output.js';
import { pageStyle } from './style.js';

export async function exportHtml(notebook: Notebook, title: string, path: string): Promise<void> {
  await saveFile(path, renderNotebook(notebook, title));
}

export function renderNotebook(notebook: Notebook, title: string): string {
  const outputs = notebook.cells.flatMap((cell) => (cell.cell_type === 'code' ? cell.outputs : []));
  const hasPlotly = outputs.some(needsPlotly);
  const policy = createPolicy(hasPlotly ? figureScripts() : [], outputs.some(needsWebGl));
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${pageStyle}</style>`,
    ...(hasPlotly ? [plotlyScript()] : []),
    '</head><body><main>',
    ...renderCells(notebook.cells),
    '</main></body></html>\n',
  ].join('\n');
}

/**
 * Scripts by what they say, images by their data or from beside the page; all else is refused.
 * @param mayEvaluate whether those scripts may make functions out of texts
 */
function createPolicy(scripts: readonly string[], mayEvaluate: boolean): string {
  const hashes = scripts.map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
  const allowed = [...hashes, ...(mayEvaluate ? ["'unsafe-eval'"] : [])];
  return [
    "default-src 'none'",
    `script-src ${allowed.length === 0 ? "'none'" : allowed.join(' ')}`,
    "style-src 'unsafe-inline'",
    "img-src 'self' data: blob:",
    'media-src data:',
    'font-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** What is longer fits into no string, and into no browser. */
const mostChars = 300_000_000;

function renderCells(cells: readonly Cell[]): string[] {
  const sections: string[] = [];
  let chars = 0;
  for (const [index, cell] of cells.entries()) {
    const section = renderCell(cell);
    chars += section.length;
    if (chars > mostChars)
      return [
        ...sections,
        `<p class="note">left out: the cells from number ${index + 1} on; the page is full</p>`,
      ];
    sections.push(section);
  }
  return sections;
}

function renderCell(cell: Cell): string {
  if (cell.cell_type === 'code') return renderCode(cell);
  const html =
    cell.cell_type === 'markdown'
      ? renderMarkdown(cell.source, cell.attachments)
      : `<pre>${escapeHtml(cell.source)}</pre>`;
  return `<section>${html}</section>`;
}
function renderCode({ source, execution_count, outputs }: CodeCell): string {
  const number = execution_count === null ? '' : `<div class="count">[${execution_count}]</div>`;
  const code =
    source.trim() === '' ? '' : `${number}<pre class="code"><code>${highlight(source)}</code></pre>`;
  const shown = outputs.map((output) => `<div class="output">${renderOutput(output)}</div>`);
  return `<section>${code}${shown.join('')}</section>`;
}
