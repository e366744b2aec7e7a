export { type RenderedPage, renderPage } from './render.js';
export { createSubject, type Question, type Subject } from './subject.js';
