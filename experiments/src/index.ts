/**
 * The public names of the experiments package, by purpose: what notebooks and programs of your own build on. Tests import
 * the rest by its file.
 *
 * @module experiments
 */

// Ask: experiments as data, run and resumed.

export {
  type Axis,
  type Case,
  type Choice,
  defineExperiment,
  type ExperimentDefinition,
  type RunSettings,
  type Settings,
} from './definitions/definition.js';
export { parseDefinition } from './definitions/parse.js';
export { readDefinitions, type StoredDefinition } from './definitions/stored-definitions.js';
export { type QueueOptions, queueRunner } from './queue/queue-runner.js';
export type {
  AcceptanceSpec,
  CounterpartSpec,
  MeasuredSpec,
  RunSpec,
  SimulatedSpec,
  Turn,
} from './store/spec.js';
export type { SettingValue } from './store/words.js';
export { shippedExperiments } from './sweep/experiments/index.js';
export { describeGeneration, type Generation, splitGenerations } from './sweep/generations.js';
export { openExperiment } from './sweep/open-experiment.js';
export type { SweepOptions } from './sweep/options.js';
export type { FailedRun, SweepOutcome } from './sweep/outcome.js';
export { readOutcome } from './sweep/outcome-runs.js';
export { describeSweepProgress, type SweepProgress } from './sweep/progress.js';
export type { ScoredPoint } from './sweep/ranking.js';
export type { Refusal } from './sweep/refusals.js';
export { runExperiment } from './sweep/sweep.js';

// Inputs: machines, models, prompts, sizes.

export { openMachine } from './inputs/machines.js';
export { openOrDescribeModel } from './inputs/models.js';
export { type OpenPair, openPair, openShippedPair } from './inputs/pair.js';
export { loadWorkload, type Vocabulary, type Workload, workloadNames } from './inputs/prompts.js';
export { parseBytes, parseBytesPerSecond, parseFlopsPerSecond, parseSeconds } from './inputs/sizes.js';

// Run once.

export {
  type Comparison,
  compareSequences,
  type Difference,
  type TieCause,
  type Written,
} from './job/compare.js';
export { describeRun } from './job/describe-run.js';
export { type ExecutedRun, executeRun, type Job, type JobPlan, type RunPlan } from './job/execute.js';
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
} from './job/main-job.js';
export { describeTokenCheck, explain, type TokenCheck } from './job/summary.js';
export type { Follower, Output } from './terminal/output.js';
export { createTunnel, type TunnelOptions } from './tunnel/create.js';
export { openOrCreateTunnel } from './tunnel/named.js';
export { openTunnel, type Tunnel } from './tunnel/tunnel-file.js';

// Records: kept, read, asked.

export { type ColumnType, columns, type RowColumn, type RowValue } from './store/columns.js';
export { diffRuns, type FieldDifference, type ResultDifference, type RunDiff } from './store/diff.js';
export { exportRows } from './store/export.js';
export { filterRows, type QueryRow, type QueryValue, queryRows } from './store/query.js';
export { findRun, openRun, type ReadRequest, readRuns, scanRuns } from './store/read.js';
export { type MeasuredRecord, parseRunRecord, type RunRecord, type SimulatedRecord } from './store/record.js';
export { type FixedRow, type Row, readRows, toRow, toRows } from './store/rows.js';
export { type RunFiles, type StoredRun, storeRun } from './store/write.js';

// Statistics: points, intervals, ratios, verdicts.

export {
  type Attribution,
  type Effect,
  type Effects,
  effectsOf,
  type IncompleteGrid,
} from './statistics/effects.js';
export {
  type FactorialEffect,
  type FactorialPoint,
  factorialEffects,
  type Levels,
} from './statistics/factorial.js';
export { type Interval, medianInterval } from './statistics/interval.js';
export {
  type Pair,
  type PairedRatio,
  type PairedRatioOptions,
  pairedRatio,
  type Verdict,
} from './statistics/paired-ratio.js';
export { compareToBaseline, type RankedPoint, type RankOptions, rank } from './statistics/points.js';
export { type PairedPoint, pairPredictions } from './statistics/predicted-pairs.js';
export { describeSample, type SampleSummary } from './statistics/sample.js';
export { describeVerdict } from './statistics/verdict.js';
export type { PointRecord } from './store/record.js';

// Acceptance: measured, replayed, chosen.

export { bestCandidates, speedOf } from './acceptance/choose.js';
export {
  type MeasureAcceptanceOptions,
  type MeasuredAcceptance,
  measureAcceptance,
} from './acceptance/measure.js';
export { countPositions, ratesByPosition, singleRate } from './acceptance/rates.js';
export { type ReplayedSequence, replayRounds, tokensPerRound } from './acceptance/replay.js';

// The planner's formulas and its certainty.

export {
  bindingOf,
  type Gain,
  gainsOf,
  type Regret,
  ratioBySeed,
  regretOf,
  throughputOf,
} from './plan/certainty.js';
export {
  evaluatePlanner,
  type PlannerFormula,
  type PlannerInputs,
  plannerFormulas,
} from './plan/formulas.js';
export { meanTaskTimes, type TaskTimes } from './plan/task-times.js';

// The paper's figures, predicted and judged.

export { findAnomalies } from './reproduce/anomalies.js';
export { environmentOf } from './reproduce/assumptions.js';
export {
  errorOf,
  groupBy,
  type Judged,
  type JudgedAblation,
  type JudgedBar,
  type JudgedMemory,
  type JudgedUtilization,
  judgeWinners,
  type MemoryRise,
  meanError,
  memoryRises,
  type SpeedUp,
  speedUp,
  speedUps,
  toFigureRows,
  type Winners,
} from './reproduce/judge.js';
export { memoryQuestion } from './reproduce/observations.js';
export {
  type PublishedApex,
  type PublishedHetegen,
  readPublishedApex,
  readPublishedHetegen,
  servedTokensPerSecond,
} from './reproduce/other-systems.js';
export {
  openPaper,
  type Paper,
  type PaperOptions,
  type PublishedJob,
  type PublishedRun,
  type UtilizationRun,
} from './reproduce/paper.js';
export type { Question } from './reproduce/question.js';
export {
  type DatasetName,
  datasetNames,
  type ModelName,
  modelNames,
  type Reference,
  type SystemName,
  systemNames,
} from './reproduce/reference.js';

// Show: figures, sentences, numbers with units.

export * as figures from './figures/index.js';
export { cellOutput, runState, runsState, storeOf, sweepState } from './notebook-support/cell-output.js';
export { type BusyDevice, measuredDevices } from './notebook-support/measured-devices.js';
export { describeDecode, joinWords } from './notebook-support/sentences.js';
export {
  formatBytes,
  formatChange,
  formatCount,
  formatFlops,
  formatPercent,
  formatRate,
  formatSeconds,
  formatShare,
  formatSigned,
  plural,
  threeDigits,
} from './terminal/format.js';
