export { multipliedElements } from './draft-round.js';
export { cacheBytesPerToken } from './kv-cache.js';
export * from './policy.js';
export { type Rounds, type Strategy, speculates, strategies, usesDraft } from './strategies/index.js';
