export { type PlanningJob, placeCandidate } from './appraise.js';
export { type ClosedForm, type ClosedFormRequest, closedForm } from './closed-form.js';
export { type Aspect, aspects } from './finalists.js';
export * from './ladder.js';
export * from './plan.js';
export * from './relaxations.js';
export { defaultSimulations, type SearchProgress } from './search.js';
export { type Candidate, planMaySpeculate, planSpace } from './space.js';
export { defaultNumSeeds, predict } from './trials.js';
