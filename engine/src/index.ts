export * from './internals.js';
export * from './public.js';
