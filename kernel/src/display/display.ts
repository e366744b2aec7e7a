/** What a notebook cell shows: figures, tables, formulas, progress, HTML and Markdown. */

import { randomBytes } from 'node:crypto';
import { toLatex } from './formula.js';
import { describeFigure, type Figure, figureHtml, plotlyScript } from './plotly.js';
import { type Progress, startProgress } from './progress.js';
import { type DisplaySink, type MimeBundle, sendToNotebook } from './sink.js';
import {
  type FrameLike,
  type TableOptions,
  type TableRow,
  tableHtml,
  tableText,
  toCellTable,
} from './table.js';

/** A figure that stands in a page, in every output that shows it. */
export interface LiveFigure {
  update(figure: Figure): void;
}

export interface Display {
  /**
   * Brings plotly.js into the notebook's page. Call it in the first cell: then that cell holds the library whichever
   * of the others is run again. Without it the first figure brings it along.
   */
  setupFigures(): void;
  /** `showFigure({ data: [{ y: [1, 3, 2] }], layout: { title: { text: 'three points' } } })` */
  showFigure(figure: Figure): void;
  /**
   * A figure that changes where it stands: `const live = createFigure(figure); live.update(next)`, from any later cell
   * as well.
   */
  createFigure(figure: Figure): LiveFigure;
  /** `showTable(rows, { columns: ['strategy', 'tokensPerSecond'] })`; a danfo DataFrame or Series will do as well. */
  showTable(source: FrameLike | readonly TableRow[], options?: TableOptions): void;
  /** `showFormula('tokens = (1 - p^(c + 1)) / (1 - p)')`: a mathjs expression, or LaTeX. */
  showFormula(formula: string): void;
  /** HTML as it is: escape what comes from elsewhere. */
  showHtml(html: string): void;
  showMarkdown(markdown: string): void;
  /** `const progress = createProgress('sweep'); progress.update({ done: 3, total: 12 }); progress.end();` */
  createProgress(title: string): Progress;
}

/** Helpers that write to one place and remember what its page has already got. */
export function createDisplay(send: DisplaySink, nowSeconds = () => performance.now() / 1000): Display {
  let hasPlotly = false;
  const bundle = (figure: Figure): MimeBundle => {
    assertFigure(figure);
    const { data, layout } = figure;
    const script = hasPlotly ? '' : plotlyScript();
    hasPlotly = true;
    return {
      'application/vnd.plotly.v1+json': { data, layout },
      'text/html': `${script}${figureHtml(figure)}`,
      'text/plain': describeFigure(figure),
    };
  };
  return {
    setupFigures() {
      hasPlotly = true;
      send({ 'text/plain': 'plotly.js is in this page', 'text/html': plotlyScript() });
    },
    showFigure: (figure) => send(bundle(figure)),
    createFigure(figure) {
      const displayId = randomBytes(8).toString('hex');
      send(bundle(figure), { displayId });
      return { update: (next) => send(bundle(next), { displayId, isUpdate: true }) };
    },
    showTable(source, options) {
      const table = toCellTable(source, options);
      send({ 'text/html': tableHtml(table), 'text/plain': tableText(table) });
    },
    showFormula(formula) {
      const latex = toLatex(formula);
      send({ 'text/latex': `$\\displaystyle ${latex}$`, 'text/plain': formula.trim() });
    },
    showHtml(html) {
      send({ 'text/html': html, 'text/plain': html.replace(/<[^>]*>/g, '') });
    },
    showMarkdown(markdown) {
      send({ 'text/markdown': markdown, 'text/plain': markdown });
    },
    createProgress(title) {
      return startProgress(send, title, randomBytes(8).toString('hex'), nowSeconds);
    },
  };
}

function assertFigure(figure: Figure): void {
  const isFigure = Array.isArray(figure?.data) && typeof figure.layout === 'object' && figure.layout !== null;
  if (!isFigure)
    throw new TypeError('invalid figure: expected an object with a list `data` and an object `layout`');
}

/** Those of the notebook that this process is the kernel of; elsewhere they print the text form. */
export const {
  setupFigures,
  showFigure,
  createFigure,
  showTable,
  showFormula,
  showHtml,
  showMarkdown,
  createProgress,
} = createDisplay(sendToNotebook);
