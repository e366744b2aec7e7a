/** The Jupyter side of the lab: what notebooks show, and what runs them. */

export * from './display/index.js';
export * from './errors.js';
export * from './html/index.js';
export * from './image/chromium.js';
export * from './image/notebook-images.js';
export * from './image/render.js';
export * from './install/index.js';
export * from './notebook/index.js';
