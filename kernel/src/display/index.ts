export { clearOutput, type PromptOptions, prompt } from './ask.js';
export * from './display.js';
export { escapeHtml, toScriptJson } from './escape.js';
export { toLatex } from './formula.js';
export { type Figure, figureHtml, plotlyScript } from './plotly.js';
export type { Progress, ProgressState } from './progress.js';
export type { DisplaySink, MimeBundle, SendOptions } from './sink.js';
export type { FrameLike, TableOptions, TableRow } from './table.js';
