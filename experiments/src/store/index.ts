export {
  buildRecord,
  buildSimulatedRecord,
  keyOf,
  type MeasuredRun,
  type SimulatedRun,
} from './build-record.js';
export { collectProvenance } from './provenance.js';
export * from './record.js';
export { formatTokens, type TokensLine } from './tokens.js';
export { parseRunRecord } from './validate.js';
export { assertWritable, type RunFiles, type StoredRun, storeRun } from './write.js';
