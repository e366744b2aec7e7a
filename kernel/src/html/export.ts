/**
 * A notebook as one HTML page that needs no network and no server.
 *
 * The page shows what the notebook holds: its HTML outputs and the HTML in its texts run as they are, as they do in
 * Jupyter. Export only notebooks whose authors you trust.
 */

import { escapeHtml } from '../display/escape.js';
import { plotlyScript } from '../display/plotly.js';
import type { Cell, CodeCell, Notebook } from '../notebook/format.js';
import { saveFile } from '../notebook/save.js';
import { highlight } from './highlight.js';
import { renderMarkdown } from './markdown.js';
import { needsPlotly, renderOutput } from './output.js';
import { pageStyle } from './style.js';

export async function exportHtml(notebook: Notebook, title: string, path: string): Promise<void> {
  await saveFile(path, renderNotebook(notebook, title));
}

export function renderNotebook(notebook: Notebook, title: string): string {
  const hasPlotly = notebook.cells.some(
    (cell) => cell.cell_type === 'code' && cell.outputs.some(needsPlotly),
  );
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${pageStyle}</style>`,
    ...(hasPlotly ? [plotlyScript()] : []),
    '</head><body><main>',
    ...notebook.cells.map(renderCell),
    '</main></body></html>\n',
  ].join('\n');
}

function renderCell(cell: Cell): string {
  if (cell.cell_type === 'code') return renderCode(cell);
  const html =
    cell.cell_type === 'markdown' ? renderMarkdown(cell.source) : `<pre>${escapeHtml(cell.source)}</pre>`;
  return `<section>${html}</section>`;
}
function renderCode({ source, execution_count, outputs }: CodeCell): string {
  const number = execution_count === null ? '' : `<div class="count">[${execution_count}]</div>`;
  const code =
    source.trim() === '' ? '' : `${number}<pre class="code"><code>${highlight(source)}</code></pre>`;
  const shown = outputs.map((output) => `<div class="output">${renderOutput(output)}</div>`);
  return `<section>${code}${shown.join('')}</section>`;
}
