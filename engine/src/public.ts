/**
 * The engine's public names, by purpose: what users, notebooks and experiments build on. `internals.ts` holds what the
 * lab's own packages and tests need besides.
 *
 * @module engine
 */

// Run for real.

export type { GpuFacts } from '@specoffload/native';
export { largest, smallest } from './extremes.js';
export { type Caps, noCaps } from './machine/caps.js';
export {
  type DeviceChoice,
  type DeviceListing,
  deviceKinds,
  listDevices,
  nameDevice,
} from './machine/devices.js';
export { measureDecoding } from './machine/measure-decoding.js';
export {
  type DeviceRates,
  type MeasuredDevice,
  type MeasuredSizes,
  manyRows,
  measureDevice,
} from './machine/measure-device.js';
export {
  type MeasuredProduct,
  measureProducts,
  measureUnpacking,
  type ProductSizes,
} from './machine/measure-products.js';
export type { Checkpoint, GroupKind, TensorRef, WeightGroup } from './model/types.js';
export { prefillCoresOf } from './run/cores.js';
export type { DevicePower, DeviceUse, PowerUse, QueueUse } from './run/device-meter.js';
export { runEngine, runLogits } from './run/engine.js';
export { Talk, type TalkRequest, type Turn, type TurnResult } from './run/talk.js';
export {
  defaultReadsInFlight,
  type GeneratedSequence,
  type LogitsRequest,
  type MachineSettings,
  type PoolReport,
  type RunOutcome,
  type RunProgress,
  type RunRequest,
  type RunResult,
} from './run/types.js';
export type { LaneName } from './topology/topology.js';
export type { BufferUse, MemoryLog } from './trace/memory.js';
export type { LaneGaps } from './trace/report.js';
export type { PhaseName, Span } from './trace/types.js';

// Models: checkpoints, configurations, the catalogue.

export { type CatalogEntry, describeCatalogModel, modelCatalog } from './model/catalog.js';
export { type ChatMessage, type ChatTemplate, loadChatTemplate, renderChats } from './model/chat-template.js';
export { openCheckpoint } from './model/checkpoint.js';
export { parseModelSpec } from './model/config.js';
export { isConfigurationAlone, openConfiguration } from './model/configuration.js';
export { describeModel, type ModelDescription } from './model/describe.js';
export { type InflationOptions, inflateCheckpoint } from './model/inflate.js';
export { type InflationPlan, type InflationRequest, planInflation } from './model/inflate-plan.js';
export { type CheckpointReport, inspectCheckpoint } from './model/inspect.js';
export { type Packing, type PackingOptions, packCheckpoint, unpackCheckpoint } from './model/pack.js';
export { formatOf } from './model/packed.js';
export { packedTwin } from './model/packed-twin.js';
export type {
  Activation,
  AttentionSpec,
  DynamicRopeScaling,
  FfnSpec,
  LayerSpec,
  LinearRopeScaling,
  Llama3RopeScaling,
  LongRopeScaling,
  ModelSpec,
  NormSpec,
  RopeScaling,
  RopeSpec,
  RouterSpec,
  TensorPlace,
  TensorPlaces,
  TensorSlice,
  YarnRopeScaling,
} from './model/spec.js';
export { type StoppedText, StopStrings } from './model/stop-strings.js';
export { type TargetFormat, targetFormats } from './model/target-format.js';
export { TextStream } from './model/text-stream.js';
export {
  assertSameVocabulary,
  loadTokenizer,
  type TokenizerOptions,
  type VocabularyOwner,
} from './model/tokenizer.js';
export type { TensorRole, Tokenizer } from './model/types.js';
export {
  type Disk,
  type OutputFile,
  type TensorSource,
  type WriteCheckpointOptions,
  type WriteProgress,
  writeCheckpoint,
} from './model/write.js';

// Predict: machines and runs on a virtual clock.

export type { Budgets } from './machine/budgets.js';
export { type CrossbarFacts, crossbarNoise } from './machine/crossbars.js';
export { bf16Formats, type Formats, fp32Formats, localFormats, weightBytes } from './machine/formats.js';
export { parseMachineModel, readMachineFile } from './machine/machine-file.js';
export {
  type CacheTraffic,
  type ComputeLane,
  type ComputeRates,
  computeLane,
  type DecodingRates,
  type KindRates,
  type Lane,
  laneNamed,
  limitsOf,
  type MachineModel,
  type Memory,
  type Pace,
  type TransferLane,
  type TransferRates,
  transferLane,
  withBudgets,
  withLane,
  withMemory,
} from './machine/machine-model.js';
export type { Energy, EnergySource, LaneClock, LanePower } from './machine/power.js';
export { noisyGroups, type ProductNoise, productNoiseFields } from './machine/product-noise.js';
export { isRateOfMachine, machineRates, withRate } from './machine/rates.js';
export type { CrossbarReport } from './run/crossbar-report.js';
export { type SimulationRequest, type SimulationResult, simulateRun } from './run/simulate.js';
export type { ExpertReport } from './speculate/expert-counter.js';
export type { RoutingReport } from './speculate/routing-counter.js';
export type { TaskKind } from './topology/topology.js';
export {
  type ComputePlace,
  localTopology,
  type MemoryName,
  type Move,
  type Topology,
  type TransferPlace,
} from './topology/topology.js';

// Plan: the fastest policy, how sure that is, and what binds it.

export type { PlanningJob } from './plan/appraise.js';
export {
  type Front,
  type FrontAim,
  type FrontPoint,
  type FrontRequest,
  frontAims,
  planFront,
} from './plan/front.js';
export {
  climbLadder,
  type Ladder,
  type LadderOptions,
  type LadderStep,
  publishedPolicy,
} from './plan/ladder.js';
export { type Payoff, payoffOf } from './plan/pays.js';
export {
  type Alternative,
  type BusiestLane,
  type KnownPolicy,
  type Plan,
  type PlannedPolicy,
  type PlanRequest,
  planRun,
  targetOf,
} from './plan/plan.js';
export {
  type Relaxation,
  type RelaxOptions,
  relaxResources,
} from './plan/relaxations.js';
export { defaultSimulations, type SearchProgress } from './plan/search.js';
export { type Proposer, planSpace } from './plan/space.js';
export { defaultNumSeeds } from './plan/trials.js';

// Policies, strategies, drafters.

export { describePolicyField } from './schedule/describe-policy.js';
export type {
  Drafter,
  Drafting,
  DraftNeeds,
  DraftRound,
  DraftRun,
  PlaceDraft,
  RoundWork,
} from './schedule/drafter.js';
export { type DrafterName, drafterNames, needsDraft } from './schedule/drafters.js';
export {
  type AllowedValues,
  type OpenChoices,
  type OpenPolicy,
  type PolicyInput,
  parsePolicy,
  policyFieldNames,
} from './schedule/policy.js';
export { type Policy, policyFields } from './schedule/policy-fields.js';
export { promptLookup } from './schedule/prompt-lookup.js';
export {
  type StrategyName,
  speculates,
  strategies,
  strategyNamed,
  strategyNames,
} from './schedule/strategies/index.js';
export {
  hasUnfinished,
  inTurn,
  interleave,
  plainOrWithDraft,
  proposeAheadOfVerifying,
  proposeThenVerify,
  type Round,
  verifyOnly,
} from './schedule/strategies/orders.js';
export {
  type Order,
  type Rounds,
  type Strategy,
  speculationsOf,
  usesDraft,
} from './schedule/strategies/strategy.js';
export { suffixLookup } from './schedule/suffix-lookup.js';
export { warpedShares } from './speculate/draw-token.js';
export { type PublishedSampling, readPublishedSampling } from './speculate/published-sampling.js';
export {
  parseSampling,
  type Sampling,
  type SamplingField,
  type SamplingInput,
  type SamplingRule,
  samplingFields,
  samplingRules,
  spellSampling,
} from './speculate/sampling.js';
export {
  type CacheBlock,
  Sequence,
  type StopReason,
  type TargetChoice,
  type TokenListener,
} from './speculate/sequence.js';

// Acceptance: how often a draft is right.

export { type RecordAcceptanceRequest, recordAcceptance } from './run/record-acceptance.js';
export {
  acceptGreedy,
  chanceByCoupling,
  chanceByRejection,
} from './speculate/accept.js';
export {
  type Acceptance,
  type AcceptanceRates,
  type AcceptanceTrace,
  averageRates,
  expectedTokens,
  mostCandidates,
  parseAcceptance,
  releasedExpectedTokens,
  secondChoiceOf,
} from './speculate/acceptance.js';
export type { AcceptanceReport, AlternateCount, PositionCount } from './speculate/statistics.js';

// Traces: what happened when.

export type { LanePlace } from './topology/topology.js';
export { taskKinds } from './topology/topology.js';
export { type ChromeTrace, toChromeTrace } from './trace/chrome.js';
export { causeOf } from './trace/idle.js';
export { inUsualOrder, isTargetOnDevice, laneNames, lanesOf } from './trace/lanes.js';
export { type MemoryOverTime, type MemoryStep, memoryOverTime } from './trace/memory.js';
export { type ParsedTrace, parseChromeTrace } from './trace/parse-chrome.js';
export { measureGaps, reportPhase, type TimeWindow } from './trace/report.js';
export { drawStrip, type StripRow, windowOfPasses } from './trace/strip.js';
export {
  type IdleCause,
  idleCauses,
  type LaneReport,
  type PhaseReport,
  phaseNames,
  type TaskLabel,
} from './trace/types.js';

// Errors and chance.

export { UserError } from '@specoffload/input';
export { createRandom, type Random } from './model/random.js';
