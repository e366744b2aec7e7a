/** How a model would be stored that is known by its configuration alone: what quantising it would do to its sizes. */

import { type Codec, codecs, plainCodecs, storedBytes, type WeightDtype } from '@specoffload/native';
import type { TensorSpec } from './roles.js';

/** Other ways of laying out what takes as many bytes. */
type Relaid = 'mxfp4_split' | 'int8_packed';

/** A codec that all matrices are to be stored with. */
export type TargetFormat = Exclude<WeightDtype, Relaid>;

export const targetFormats = Object.keys(codecs).filter(
  (name) => name !== 'mxfp4_split' && name !== 'int8_packed',
) as TargetFormat[];

/**
 * What is taken where rows are no whole blocks: by llama.cpp (`llama_tensor_get_type_fallback` in llama-quant.cpp), and
 * without loss.
 */
const fallbacks: Readonly<Partial<Record<WeightDtype, WeightDtype>>> = {
  bf16_packed: 'bf16',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

/**
 * The codec of one tensor: vectors and routers stay what they are published as beside the format, fp32 in GGUF and bf16
 * in safetensors, where embedding and head stay bf16, too, unless all is kept without loss.
 */
export function codecInFormat(
  format: TargetFormat,
  { role, shape }: Pick<TensorSpec, 'role' | 'shape'>,
): WeightDtype {
  if (Object.hasOwn(plainCodecs, format)) return format;
  const hasScalesApart = (codecs[format] as Codec).scales !== undefined;
  if (shape.length === 1 || role === 'router' || role === 'sharedRouter')
    return hasScalesApart || format === 'bf16_packed' ? 'bf16' : 'f32';
  if (hasScalesApart && (role === 'embedding' || role === 'head')) return 'bf16';
  const isWhole = (name: WeightDtype) => {
    const { blockElements, isAcross }: Codec = codecs[name];
    return shape[isAcross ? 0 : shape.length - 1] % blockElements === 0;
  };
  const candidates = [format, fallbacks[format] ?? format];
  return candidates.find(isWhole) ?? (hasScalesApart ? 'bf16' : 'f16');
}

/** Bytes of a tensor, its scales included. */
export function bytesInCodec(dtype: WeightDtype, shape: readonly number[]): number {
  const scales = (codecs[dtype] as Codec).scales ?? null;
  const count = shape.reduce((product, size) => product * size, 1);
  const columns = shape[shape.length - 1];
  return storedBytes(dtype, count, { rows: count / columns, columns, scales });
}
