/**
 * The Jupyter side of the lab: what notebooks show, and what runs them. Public names, by purpose.
 *
 * @module kernel
 */

// In a cell: figures, tables, formulas, progress, questions.

export { clearOutput, type PromptOptions, prompt } from './display/ask.js';
export {
  createFigure,
  createProgress,
  setupFigures,
  showFigure,
  showFormula,
  showHtml,
  showMarkdown,
  showTable,
} from './display/display.js';
export { toLatex } from './display/formula.js';
export type { FrameLike, TableOptions } from './display/table.js';

// Figures outside of notebooks.

export { createDisplay, type Display, type LiveFigure } from './display/display.js';
export { escapeHtml, toScriptJson } from './display/escape.js';
export { type Figure, figureHtml, plotlyScript } from './display/plotly.js';
export type { Progress, ProgressState } from './display/progress.js';
export type { DisplaySink, MimeBundle, SendOptions } from './display/sink.js';
export type { TableRow } from './display/table.js';

// Run, read and write notebooks.

export { NotebookError } from './errors.js';
export type { CellFailure } from './notebook/cell.js';
export {
  type Cell,
  type CellOutput,
  type CodeCell,
  type Notebook,
  parseNotebook,
  readNotebook,
  serializeNotebook,
  type TextCell,
} from './notebook/format.js';
export { type ParameterValue, parseAssignment, toTypeScript, WrittenValue } from './notebook/literal.js';
export type { Parameters } from './notebook/parameters.js';
export {
  type CellRun,
  defaultTotalSeconds,
  type NotebookFailure,
  type NotebookOutcome,
  type NotebookProgress,
  type RunNotebookOptions,
  runNotebook,
} from './notebook/run.js';
export { assertWritable, saveNotebook } from './notebook/save.js';

// Notebooks as pages and pictures.

export { exportHtml, renderNotebook } from './html/export.js';
export { findChromium } from './image/find.js';
export { addImages, type NotebookImage } from './image/notebook-images.js';
export { type PrintOptions, printPage } from './image/pdf.js';
export { type ImageRenderer, type ImageSize, openImageRenderer } from './image/render.js';

// Make the kernel known to Jupyter.

export { type CheckItem, checkKernel } from './install/check.js';
export {
  defaultKernelName,
  findKernel,
  type InstalledKernel,
  installKernel,
  type KernelPlace,
  kernelDisplayName,
  uninstallKernel,
} from './install/kernelspec.js';
export {
  dataDirectories,
  findSysPrefix,
  ownSurroundings,
  prefixDataDirectory,
  type Surroundings,
  userDataDirectory,
} from './install/places.js';
