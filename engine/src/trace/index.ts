export * from './chrome.js';
export * from './report.js';
export * from './types.js';
