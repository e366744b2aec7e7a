/** How many bytes a number takes on a machine: the local device widens everything to fp32, a GPU keeps bf16. */

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
  weightElementBytes: 4,
  cacheElementBytes: 4,
  activationElementBytes: 4,
  largestPieceBytes: 2 ** 32,
};

/** A GPU that computes in bf16. */
export const bf16Formats: Formats = {
  weightElementBytes: null,
  cacheElementBytes: 2,
  activationElementBytes: 2,
  largestPieceBytes: Number.POSITIVE_INFINITY,
};
