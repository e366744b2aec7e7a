export * from './accept.js';
export * from './acceptance.js';
export * from './sequence.js';
export * from './statistics.js';
