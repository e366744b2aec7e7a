export { type PlanningJob, placeCandidate } from './appraise.js';
export { type ClosedForm, type ClosedFormRequest, closedForm } from './closed-form.js';
export * from './ladder.js';
export * from './plan.js';
export { predict, type SearchProgress } from './search.js';
export * from './sensitivity.js';
export { type AllowedValues, type Candidate, planMaySpeculate, planSpace } from './space.js';
