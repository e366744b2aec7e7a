export * from './display/index.js';
export * from './image/chromium.js';
export * from './image/render.js';
