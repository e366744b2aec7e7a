export { evaluatePlanner, type PlannerFormula, type PlannerInputs, plannerFormulas } from './formulas.js';
export { meanTaskTimes, type TaskTimes } from './task-times.js';
