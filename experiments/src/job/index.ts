export {
  firstTexts,
  type MainJob,
  type MainJobOptions,
  type MainJobOutcome,
  type MainJobRunOptions,
  mainStrategies,
  openMainJob,
  runMainJob,
  type WrittenText,
} from './main-job.js';
export { describeTokenCheck, explain, type TokenCheck } from './summary.js';
