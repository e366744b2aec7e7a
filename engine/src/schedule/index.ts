export * from './describe-policy.js';
export { multipliedElements } from './draft-round.js';
export type * from './drafter.js';
export { cacheBytesPerToken } from './kv-cache.js';
export * from './policy.js';
export { promptLookup } from './prompt-lookup.js';
export * from './strategies/index.js';
