export {
  buildRecord,
  buildSimulatedRecord,
  type MeasuredRun,
  type RunLocation,
  type SimulatedRun,
} from './build-record.js';
export { type ColumnType, columns, type RowColumn, type RowValue } from './columns.js';
export { earlierKeyOf, laterFields } from './determinants.js';
export { diffRuns, type FieldDifference, type ResultDifference, type RunDiff } from './diff.js';
export { assertExportable, exportRows } from './export.js';
export { contentsOf } from './model-record.js';
export type { PlannedRecord } from './planned-record.js';
export { determinantsOf, gpuOf, type PointOfRun, pointIdOf, pointKeyOf, pointOf, turnIdOf } from './point.js';
export { collectProvenance } from './provenance.js';
export { filterRows, type QueryRow, type QueryValue, queryRows } from './query.js';
export { byAge, findRun, isStored, openRun, type ReadRequest, readRuns, scanRuns } from './read.js';
export { readPackedTrace, unpackTrace } from './read-trace.js';
export * from './record.js';
export { parseRunRecord } from './record.js';
export type { Requests } from './requests.js';
export { type FixedRow, type Row, readRows, toRow, toRows } from './rows.js';
export {
  type AcceptanceSpec,
  type Choices,
  type CounterpartSpec,
  choicesIn,
  type MeasuredSpec,
  type RunSpec,
  type SimulatedSpec,
  specOfAcceptance,
  specOfCounterpart,
  specOfPrediction,
  specOfRun,
  type Turn,
} from './spec.js';
export { formatTokens, parseTokens, readTokens, type TokensLine } from './tokens.js';
export {
  assertWritable,
  explainStoreError,
  type RunFiles,
  removeLitter,
  type StoredRun,
  storeRun,
  storeRunAs,
} from './write.js';
