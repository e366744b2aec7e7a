export * from './definition.js';
export { openExperiment } from './open-experiment.js';
export type { SweepOptions } from './options.js';
export { parseDefinition } from './parse.js';
export { describeSweepProgress, type SweepProgress } from './progress.js';
export type { ScoredPoint } from './ranking.js';
export type { Refusal } from './refusals.js';
export { type FailedRun, runExperiment, type SweepOutcome } from './sweep.js';
