export type { CellFailure } from './cell.js';
export * from './format.js';
export * from './literal.js';
export type { Parameters } from './parameters.js';
export * from './run.js';
