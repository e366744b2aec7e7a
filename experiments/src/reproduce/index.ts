export { findAnomalies } from './anomalies.js';
export { environmentOf } from './assumptions.js';
export * from './judge.js';
export { memoryQuestion } from './observations.js';
export * from './paper.js';
export type { Question } from './question.js';
export {
  type DatasetName,
  datasetNames,
  type ModelName,
  modelNames,
  type Reference,
  type SystemName,
  systemNames,
} from './reference.js';
