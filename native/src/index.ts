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
  type ReadRange,
  type ReadReport,
  type StreamerOptions,
  sequenceFields,
} from './types.js';

// Numbers as they are stored.

export { type Codec, codecs, decodeWeights, f32, type WeightDtype } from './codecs/index.js';
export { directIoAlignmentBytes } from './types.js';

// Pacing.

export { forgivenSeconds, type LinkSlot, Pacer } from './pacer.js';
