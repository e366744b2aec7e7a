export * from './core.js';
export * from './pacer.js';
export * from './types.js';
