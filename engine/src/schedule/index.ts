export { multipliedElements } from './draft-round.js';
export { cacheBytesPerToken } from './placement.js';
export * from './policy.js';
export { type Rounds, type Strategy, strategies } from './strategies/index.js';
