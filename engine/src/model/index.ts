export * from './checkpoint.js';
export * from './config.js';
export * from './reference.js';
export * from './rope.js';
export * from './safetensors.js';
export * from './types.js';
export * from './widths.js';
