/** The codecs that a checkpoint's weights may be stored with. */

import { bf16 } from './bf16.js';
import type { Codec } from './codec.js';
import { f16 } from './f16.js';
import { f32 } from './f32.js';

export type { Codec } from './codec.js';
export { f32 } from './f32.js';

export const codecs = { bf16, f16, f32 } satisfies Record<string, Codec>;

/** A codec's name. */
export type WeightDtype = keyof typeof codecs;

/** Stored values as fp32. */
export function decodeWeights(stored: Uint8Array, dtype: WeightDtype): Float32Array {
  const codec: Codec = codecs[dtype];
  const bits = new Uint32Array(codec.count(stored.byteLength));
  codec.decode(stored, bits);
  return new Float32Array(bits.buffer);
}
