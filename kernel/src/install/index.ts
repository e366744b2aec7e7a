export * from './check.js';
export * from './kernelspec.js';
export * from './places.js';
