/** What the lab's own packages and tests need of the engine beside its public names; may change with any version. */

export {
  type Arithmetic,
  type ArithmeticName,
  arithmetics,
  f32Arithmetic,
} from './machine/arithmetic.js';
export { cacheRate, createCostModel, interpolate } from './machine/cost-model.js';
export type { DeviceFacts } from './machine/device.js';
export { formatsOf } from './machine/devices.js';
export { fromFirstSchema } from './machine/first-machine-file.js';
export { type FlatMachine, flattenMachine, unflattenMachine } from './machine/flat-machine.js';
export { activationBytes, stagedVulkanFormats } from './machine/formats.js';
export { machineFileSchema } from './machine/machine-fields.js';
export { nameFormats } from './machine/machine-file.js';
export { changedArithmetic, changedKinds } from './machine/machine-model.js';
export { predictEnergy } from './machine/power.js';
export { catalogSpec } from './model/catalog.js';
export { parseEosTokenIds } from './model/config-eos.js';
export { isDescribed } from './model/describe.js';
export { createRandomTable } from './model/random.js';
export {
  loadReferenceWeights,
  type ReferenceWeights,
  type RouterChoice,
  referenceGreedy,
  referenceLogits,
} from './model/reference.js';
export { createRopeTables, inverseFrequencies } from './model/rope.js';
export { readSafetensors } from './model/safetensors.js';
export { countHeads, expertElements } from './model/spec.js';
export { readTensor } from './model/stored.js';
export { type ModelSummary, summarise } from './model/summary.js';
export { localDisk } from './model/write.js';
export { Appraiser, placeContender } from './plan/appraise.js';
export { closedForm } from './plan/closed-form.js';
export { Experience } from './plan/experience.js';
export { planMaySpeculate } from './plan/space.js';
export { predict } from './plan/trials.js';
export { predictionVersion } from './run/simulate.js';
export { measuredHostShare, printedHostShare } from './schedule/balance.js';
export { describePolicyFields } from './schedule/describe-policy.js';
export { multipliedElements } from './schedule/draft-sizes.js';
export { drafterNamed } from './schedule/drafters.js';
export { cacheBytesPerToken } from './schedule/kv-cache.js';
export { policySchemas } from './schedule/policy.js';
export {
  decideStep,
  type LayerTimes,
  type SplitDecision,
  splitDecisions,
  subBatchesPay,
} from './schedule/split-rule.js';
export { AcceptanceEstimate } from './speculate/acceptance-estimate.js';
export { AcceptanceCounter } from './speculate/statistics.js';
