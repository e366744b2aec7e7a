/**
 * Memory that all threads share, direct reads, attention and probes in C++, and their TypeScript twins.
 *
 * @module native
 */

// The core and what it gives out.

export { loadNativeCore, type NativePreference } from './core.js';
export type { Arena, ArenaHandle, NativeCore, ProbeReport, Streamer, StreamFile } from './types.js';

// What it is asked.

export {
  type AttentionCall,
  type AttentionShape,
  type FeedForwardCall,
  type GatingCall,
  type NormCall,
  type PlainWeights,
  type ProductCall,
  type ReadRange,
  type ReadReport,
  type StreamerOptions,
  sequenceFields,
  sharedFields,
} from './types.js';

// Numbers as they are stored.

export {
  type Codec,
  codecs,
  decodeWeights,
  f32,
  type PlacedScales,
  type PlainCodec,
  type PlainDtype,
  plainCodecs,
  type ScaleDtype,
  type ScaleGrid,
  type WeightDtype,
  type ZeroPoints,
} from './codecs/index.js';
export {
  decodeMatrix,
  type MatrixLayout,
  reachBytes,
  scaleBytes,
  scaleGridSize,
  scalePartBytes,
  spanBytes,
  storedBytes,
  storedRow,
} from './codecs/matrix.js';
export { directIoAlignmentBytes } from './types.js';

// Pacing.

export { forgivenSeconds, type LinkSlot, Pacer } from './pacer.js';

// Kernels of the Vulkan device, and how they are started.

export {
  type Attention,
  type AttentionHeads,
  type AttentionTables,
  attend,
  createAttentionTables,
} from './vulkan-shaders/attention.js';
export {
  argmax,
  argmaxScratchBytes,
  draw,
  drawBytes,
  type FoundTokens,
  foundIn,
  type KeptTokens,
  keepBytes,
  keepTokens,
  keptIn,
  startsFinite,
  swapLogits,
  widestKept,
} from './vulkan-shaders/choices.js';
export { type CooperativeMatrices, cooperativeMatmul } from './vulkan-shaders/cooperative.js';
export {
  activate,
  clipValues,
  embed,
  fewRows,
  gather,
  type KernelLimits,
  leastLimits,
  type Matmul,
  matmul,
  norm,
  type StoredFormat,
  type StoredMatrix,
  type StoredVector,
  scatterAdd,
} from './vulkan-shaders/dispatches.js';
export { type KernelKind, kernelKinds } from './vulkan-shaders/kernel-kinds.js';
export { type Dispatch, type KernelName, kernels, weightFormats } from './vulkan-shaders/kernels.js';
export { chooseExperts, listRows } from './vulkan-shaders/routing.js';

// Devices by Vulkan.

export {
  type Gpu,
  type GpuFacts,
  type GpuKernel,
  type GpuOptions,
  type GpuQueue,
  type GpuReport,
  type GpuSession,
  kernelOf,
  loadVulkan,
  operations,
  type PowerMeter,
  type PowerOptions,
  queueRings,
  type SessionOptions,
  spaces,
  type Vulkan,
} from './vulkan.js';
