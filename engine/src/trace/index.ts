export { type ChromeTrace, toChromeTrace } from './chrome.js';
export * from './idle.js';
export * from './lanes.js';
export * from './memory.js';
export * from './parse-chrome.js';
export * from './report.js';
export * from './strip.js';
export * from './types.js';
