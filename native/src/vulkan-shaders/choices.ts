/** What rows of logits come to: the largest of each, and the tokens that may be drawn of it. */

import { type KernelLimits, spread, threadsFor } from './dispatches.js';
import { createDispatch, type Dispatch } from './kernels.js';

/** The largest value of every row: (row, 2) words, an id and the bits of its margin. */
export interface Argmax<A> {
  readonly source: A; // (row, width)
  readonly target: A; // (row, 2)
  /** Of `argmaxScratchBytes`. */
  readonly scratch: A;
  readonly rows: number;
  readonly width: number;
}

/** Parts of a row that workgroups of their own look through. */
const partsOf = (width: number) => Math.min(64, Math.ceil(width / 4096));

export function argmaxScratchBytes(rows: number, width: number): number {
  return partsOf(width) > 1 ? 16 * rows * partsOf(width) : 0;
}

/** @returns one or two dispatches, the second behind the first */
export function argmax<A>(
  { source, target, scratch, rows, width }: Argmax<A>,
  limits: KernelLimits,
): Dispatch<A>[] {
  const parts = partsOf(width);
  const pass = (
    takesCandidates: boolean,
    addresses: { source: A; target: A },
    size: number,
    into: number,
  ): Dispatch<A> =>
    createDispatch('argmax', {
      constants: { threads: threadsFor(size / into, limits), takesCandidates: Number(takesCandidates) },
      addresses,
      words: { rows, width: size, parts: into },
      groups: spread(rows * into, limits),
    });
  if (parts === 1) return [pass(false, { source, target }, width, 1)];
  return [
    pass(false, { source, target: scratch }, width, parts),
    pass(true, { source: scratch, target }, parts, 1),
  ];
}

/** Tokens that may be drawn of every row, from its logits over the temperature and noise. */
export interface Draw<A> {
  readonly source: A; // (row, width)
  readonly keys: A; // (row, 2) words
  readonly target: A; // as in `foundIn`
  readonly rows: number;
  readonly width: number;
  readonly temperature: number;
}

/** Of a part of a row. More are all but never as good as the second best, and then nobody may be taken. */
const mostFound = 7;
const drawWords = 2 + 2 * mostFound;

export function drawBytes(rows: number, width: number): number {
  return 4 * rows * partsOf(width) * drawWords;
}

export function draw<A>({ source, keys, target, rows, width, temperature }: Draw<A>, limits: KernelLimits) {
  const parts = partsOf(width);
  return createDispatch<'draw', A>('draw', {
    constants: { threads: threadsFor(width / parts, limits), mostFound },
    addresses: { source, keys, target },
    words: { rows, width, parts, temperature },
    groups: spread(rows * parts, limits),
  });
}

/** Ids in ascending order, and their logits. */
export interface FoundTokens {
  readonly areFinite: boolean;
  /** None that may be drawn is missing. */
  readonly areAll: boolean;
  readonly tokens: readonly (readonly [id: number, logit: number])[];
}

/** What {@link draw} has found of a row, in what it answered. */
export function foundIn(bytes: ArrayBuffer, from: number, row: number, width: number): FoundTokens {
  const parts = partsOf(width);
  const words = new Uint32Array(bytes, from + 4 * row * parts * drawWords, parts * drawWords);
  const logits = new Float32Array(words.buffer, words.byteOffset, words.length);
  const starts = Array.from({ length: parts }, (_, part) => part * drawWords);
  return {
    areFinite: starts.every((start) => words[start] === 1),
    areAll: starts.every((start) => words[start + 1] <= mostFound),
    tokens: starts
      .flatMap((start) =>
        Array.from({ length: Math.min(mostFound, words[start + 1]) }, (_, i) => {
          const at = start + 2 + 2 * i;
          return [words[at], logits[at + 1]] as const;
        }),
      )
      .sort(([a], [b]) => a - b),
  };
}
