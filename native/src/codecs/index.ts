/** The codecs that a checkpoint's weights may be stored with. */

import { bf16 } from './bf16.js';
import { bf16_packed } from './bf16-packed.js';
import type { Codec, PlainCodec } from './codec.js';
import { f16 } from './f16.js';
import { f32 } from './f32.js';
import { q4_k, q5_k, q6_k } from './k-blocks.js';
import { mxfp4, mxfp4_split } from './mxfp4.js';
import { fp8, int4, int4_awq, int8, int8_packed } from './scaled.js';
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from './small-blocks.js';

export type { Codec, PlacedScales, PlainCodec, ScaleDtype, ScaleGrid, ZeroPoints } from './codec.js';
export { f32 } from './f32.js';

/** Those that weights can be written with. */
export const plainCodecs = { bf16, f16, f32 } satisfies Record<string, PlainCodec>;

export const codecs = {
  ...plainCodecs,
  bf16_packed,
  ...{ q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, mxfp4 },
  ...{ mxfp4_split, fp8, int4, int4_awq, int8, int8_packed },
} satisfies Record<string, Codec>;

/** A codec's name. */
export type WeightDtype = keyof typeof codecs;
export type PlainDtype = keyof typeof plainCodecs;

/** Stored values as fp32. */
export function decodeWeights(stored: Uint8Array, dtype: WeightDtype): Float32Array {
  const codec: Codec = codecs[dtype];
  const bits = new Uint32Array(codec.count(stored.byteLength));
  codec.decode(stored, bits);
  return new Float32Array(bits.buffer);
}
