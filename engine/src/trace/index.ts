export * from './chrome.js';
export * from './report.js';
export * from './strip.js';
export * from './types.js';
