export { UserError } from '@specoffload/input';
export * from './extremes.js';
export * from './machine/index.js';
export * from './model/index.js';
export * from './plan/index.js';
export * from './run/index.js';
export * from './schedule/index.js';
export * from './speculate/index.js';
export * from './trace/index.js';
