export { renderLatex } from './latex.js';
export { type RenderedPage, renderPage } from './render.js';
export { createSubject, type Subject } from './subject.js';
