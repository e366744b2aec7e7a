export { runEngine } from './engine.js';
export * from './types.js';
