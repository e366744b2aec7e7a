export { type EffectRow, type EffectTable, effectTables } from './effect-rows.js';
export {
  type Attribution,
  type Effect,
  type Effects,
  effectsOf,
  type IncompleteGrid,
  isComplete,
} from './effects.js';
export {
  type FactorialEffect,
  type FactorialPoint,
  factorialEffects,
  type Levels,
} from './factorial.js';
export { type Interval, leastValues, medianInterval } from './interval.js';
export {
  type Pair,
  type PairedRatio,
  type PairedRatioOptions,
  pairedRatio,
  type Verdict,
} from './paired-ratio.js';
export {
  compareToBaseline,
  describeSuperseded,
  type RankedPoint,
  type RankOptions,
  rank,
  supersededPoints,
} from './points.js';
export { type PairedPoint, pairPredictions } from './predicted-pairs.js';
export { describeSample, type SampleSummary } from './sample.js';
export { nameVaryingSettings } from './varying.js';
export { describeTooFew, describeVerdict } from './verdict.js';
export { winnersOf } from './winners.js';
