/** Plotly figures as HTML: the library once per page, any number of figures that find it there. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { escapeHtml, toScriptJson } from './escape.js';

/** What Plotly draws: traces and a layout, plain JSON. */
export interface Figure {
  readonly data: readonly unknown[];
  readonly layout: Readonly<Record<string, unknown>>;
}

/** Where the layout does not say. */
const defaultHeightPixels = 450;

/**
 * The script element that makes `window.Plotly`, 2 MB: the library travels compressed. A page may hold it several
 * times and runs it once.
 */
export function plotlyScript(): string {
  return `<script>${readPlotlyLoader()}</script>`;
}

/** Whether HTML of an output is {@link plotlyScript}, of this or another version of plotly.js, and nothing else. */
export function isPlotlyScript(html: unknown): boolean {
  return typeof html === 'string' && html.startsWith('<script>') && html.includes(loaderGuard);
}

const loaderGuard = 'if (window.Plotly || window.specoffloadPlotly) return;';

/** The texts of all scripts that a page with figures runs, for a policy that lets these run and no others. */
export function figureScripts(): string[] {
  return [readPlotlyLoader(), wrapLibrary(readFileSync(libraryPath(), 'utf8')), drawWaitingFigures];
}

function libraryPath(): string {
  return createRequire(import.meta.url).resolve('plotly.js-dist-min/plotly.min.js');
}

/** A script of its own, inside the page: neither RequireJS nor a bundler's `module` may take it for theirs. */
const [beforeLibrary, afterLibrary] = ['(function (module, exports, define) {', '\n})();'];
const wrapLibrary = (source: string): string => `${beforeLibrary}${source}${afterLibrary}`;

let loader: string | undefined;

function readPlotlyLoader(): string {
  loader ??= createLoader(readFileSync(libraryPath()));
  return loader;
}

function createLoader(library: Uint8Array): string {
  const compressed = gzipSync(library, { level: 9 }).toString('base64');
  return `(function () {
  ${loaderGuard}
  var bytes = Uint8Array.from(atob('${compressed}'), function (character) { return character.charCodeAt(0); });
  var text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
  window.specoffloadPlotly = text.then(function (source) {
    var script = document.createElement('script');
    script.textContent = ${JSON.stringify(beforeLibrary)} + source + ${JSON.stringify(afterLibrary)};
    document.head.appendChild(script);
    return window.Plotly;
  });
})();`;
}

/**
 * One figure's place on a page, its data and the few lines that draw it as soon as the page has `window.Plotly`,
 * whichever comes first. Without {@link plotlyScript} on the page it says after a while what is missing.
 */
export function figureHtml(figure: Figure): string {
  const { data, layout } = figure;
  const height = typeof layout.height === 'number' ? layout.height : defaultHeightPixels;
  return [
    `<div class="specoffload-figure" role="img" aria-label="${escapeHtml(describeFigure(figure))}" style="min-height:${height}px">`,
    `<script type="application/json">${toScriptJson({ data, layout })}</script></div>`,
    `<script>${drawWaitingFigures}</script>`,
  ].join('');
}

/** The figure's title as plain text. */
export function describeFigure({ layout }: Figure): string {
  const title = layout.title as string | { readonly text?: unknown } | undefined;
  const text = typeof title === 'object' && title !== null ? title.text : title;
  return typeof text === 'string' ? text.replace(/<br\s*\/?>/g, ' - ').replace(/<[^>]*>/g, '') : 'figure';
}

/**
 * Draws every figure of the page that is not drawn yet. Notebook pages run scripts before or after they place the
 * output, so it looks again until nothing waits; a later cell may bring the library.
 */
const drawWaitingFigures = `(function () {
  var patienceTries = 100, retryMilliseconds = 100, idleTries = 50, tries = 0;
  function draw(place) {
    place.setAttribute('data-drawn', '');
    var figure = JSON.parse(place.querySelector('script').textContent);
    var canvas = document.createElement('div');
    canvas.style.minHeight = place.style.minHeight;
    place.querySelectorAll('p').forEach(function (note) { note.remove(); });
    place.appendChild(canvas);
    window.Plotly.newPlot(canvas, figure.data, figure.layout, { responsive: true, displaylogo: false });
  }
  function excuse(place) {
    if (place.querySelector('p')) return;
    var note = document.createElement('p');
    note.textContent = 'This figure waits for plotly.js: run setupFigures() in any cell of this notebook.';
    place.appendChild(note);
  }
  (function look() {
    var waiting = document.querySelectorAll('.specoffload-figure:not([data-drawn])');
    tries += 1;
    if (window.Plotly) waiting.forEach(draw);
    else if (tries === patienceTries) waiting.forEach(excuse);
    if ((window.Plotly ? 0 : waiting.length) > 0 || tries < idleTries) setTimeout(look, retryMilliseconds);
  })();
})();`;
