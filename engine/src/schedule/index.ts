export { multipliedElements } from './draft-round.js';
export { cacheBytesPerToken } from './kv-cache.js';
export * from './policy.js';
export { type Rounds, type Strategy, strategies } from './strategies/index.js';
