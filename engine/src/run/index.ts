export { runEngine, runLogits } from './engine.js';
export * from './record-acceptance.js';
export * from './simulate.js';
export * from './ties.js';
export * from './types.js';
