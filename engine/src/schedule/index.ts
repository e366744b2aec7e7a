export * from './describe-policy.js';
export { multipliedElements } from './draft-round.js';
export { cacheBytesPerToken } from './kv-cache.js';
export * from './policy.js';
export * from './strategies/index.js';
