export * from './compare.js';
export * from './execute.js';
export * from './output.js';
export * from './pair.js';
export * from './prompts.js';
export * from './report.js';
export * from './sizes.js';
export * from './store/index.js';
