export * from './acceptance/index.js';
export * from './compare.js';
export * from './conditions.js';
export * from './execute.js';
export { shippedExperiments } from './experiments/index.js';
export * as figures from './figures/index.js';
export * from './format.js';
export * from './main-job/index.js';
export * from './notebook-support/index.js';
export * from './output.js';
export * from './pair.js';
export * from './plan-certainty.js';
export * from './planner-model/index.js';
export * from './prompts.js';
export * from './report.js';

export * from './reproduce/index.js';

export * from './sizes.js';
export * from './statistics/index.js';
export * from './store/index.js';
export * from './sweep/index.js';
export * from './tunnel/index.js';
