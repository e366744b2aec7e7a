/** How many bytes a number takes on a machine: the local device widens everything to fp32, a GPU keeps bf16. */

import { codecs, f32 } from '@specoffload/native';
import type { TensorRef } from '../model/types.js';

export interface Formats {
  /** Bytes of one weight in device memory; null: as stored. */
  readonly weightElementBytes: number | null;
  /** Bytes of one key or value in the KV cache. */
  readonly cacheElementBytes: number;
  readonly activationElementBytes: number;
  /** Largest single piece of memory; Infinity where memory is only imagined. */
  readonly largestPieceBytes: number;
}

/** The local machine: fp32 everywhere, arenas of at most 4 GiB (an ArrayBuffer of Node 20). */
export const localFormats: Formats = {
  weightElementBytes: f32.bytes(1),
  cacheElementBytes: f32.bytes(1),
  activationElementBytes: f32.bytes(1),
  largestPieceBytes: 2 ** 32,
};

/** A GPU that computes in bf16. */
export const bf16Formats: Formats = {
  weightElementBytes: null,
  cacheElementBytes: codecs.bf16.bytes(1),
  activationElementBytes: codecs.bf16.bytes(1),
  largestPieceBytes: Number.POSITIVE_INFINITY,
};

/** Of a tensor in device memory. */
export function weightBytes(
  { weightElementBytes }: Formats,
  { byteLength, numElements }: Pick<TensorRef, 'byteLength' | 'numElements'>,
): number {
  return weightElementBytes === null ? byteLength : numElements * weightElementBytes;
}

/** Of keys and values. */
export function cacheBytes({ cacheElementBytes }: Formats, count: number): number {
  return count * cacheElementBytes;
}

export function activationBytes({ activationElementBytes }: Formats, count: number): number {
  return count * activationElementBytes;
}
