export {
  buildRecord,
  buildSimulatedRecord,
  keyOf,
  type MeasuredRun,
  type RunPlace,
  type SimulatedRun,
} from './build-record.js';
export { type ColumnType, columns, type RowColumn, type RowValue } from './columns.js';
export { collectProvenance } from './provenance.js';
export { type ReadRequest, readRuns } from './read.js';
export * from './record.js';
export { type FixedRow, type Row, toRow, toRows } from './rows.js';
export { formatTokens, type TokensLine } from './tokens.js';
export { parseRunRecord } from './validate.js';
export {
  assertWritable,
  explainStoreError,
  type RunFiles,
  removeLitter,
  type StoredRun,
  storeRun,
  storeRunAs,
} from './write.js';
