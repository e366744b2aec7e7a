/** What rows of logits come to: the largest of each, and the tokens that may be drawn of it. */

import { itemThreads, type KernelLimits, spread, threadsFor } from './dispatches.js';
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

/** Some of a row's tokens. */
export interface FoundTokens {
  readonly areFinite: boolean;
  /** None that may be drawn is missing. */
  readonly areAll: boolean;
  /** In ascending order. */
  readonly tokens: readonly (readonly [id: number, logit: number])[];
}

/** What {@link draw} has found of a row, in what it answered. */
export function foundIn(bytes: ArrayBuffer, from: number, row: number, width: number): FoundTokens {
  const parts = partsOf(width);
  const words = new Uint32Array(bytes, from + 4 * row * parts * drawWords, parts * drawWords);
  const starts = Array.from({ length: parts }, (_, part) => part * drawWords);
  return {
    areFinite: starts.every((start) => words[start] === 1),
    areAll: starts.every((start) => words[start + 1] <= mostFound),
    tokens: starts.flatMap((start) => tokensFrom(words, start + 2, Math.min(mostFound, words[start + 1]))),
  };
}

/** @returns those at so many places from a word on, by ascending ids */
function tokensFrom({ buffer, byteOffset, length }: Uint32Array, start: number, count: number) {
  const [ids, logits] = [
    new Uint32Array(buffer, byteOffset, length),
    new Float32Array(buffer, byteOffset, length),
  ];
  return Array.from({ length: count }, (_, i) => {
    const at = start + 2 * i;
    return [ids[at], logits[at + 1]] as const;
  }).sort(([a], [b]) => a - b);
}

/** Which tokens of a row masks may keep. */
export interface Narrowing {
  /** So many at least, and so much of the probability. */
  readonly least: number;
  readonly share: number;
  /** Where there is no share: none further from the largest than so much, over the temperature. */
  readonly farthest: number;
  /** In any case those that come within so much, over the temperature. */
  readonly reach: number;
}

export interface KeepTokens<A> extends Narrowing {
  readonly source: A; // (row, width) logits
  readonly target: A; // as in `keptIn`
  readonly rows: number;
  readonly width: number;
  readonly temperature: number;
}

/** Of a row. Where masks keep more, rows are looked at as a whole. */
const mostKept = 1024;
const keepWords = 4 + 2 * mostKept;

/** As in the kernel. */
const [keepBuckets, keepBucketsPerUnit] = [1024, 32];

/** Masses of wider rows might not fit into a word. */
export const widestKept = 2 ** 19;

export function keepBytes(rows: number): number {
  return 4 * rows * keepWords;
}

export function keepTokens<A>(operation: KeepTokens<A>, limits: KernelLimits): Dispatch<A> {
  const { source, target, rows, width, temperature, least, share, farthest, reach } = operation;
  const most = 2 ** Math.floor(Math.log2(Math.min(1024, limits.workgroupInvocations)));
  const threads = width >= most ? most : threadsFor(width, limits);
  const moreBuckets = Math.min(keepBuckets, 1 + Math.ceil(reach * keepBucketsPerUnit));
  return createDispatch<'keep-tokens', A>('keep-tokens', {
    constants: { threads, mostKept },
    addresses: { source, target },
    words: { rows, width, temperature, least, share, farthest, moreBuckets },
    groups: spread(rows, limits),
  });
}

export interface KeptTokens extends FoundTokens {
  /** All others are further from the largest than so much, over the temperature; null where there are none. */
  readonly others: { readonly distance: number; readonly mass: number } | null;
}

/** What {@link keepTokens} has kept of a row. */
export function keptIn(bytes: ArrayBuffer, from: number, row: number): KeptTokens {
  const words = new Uint32Array(bytes, from + keepBytes(row), keepWords);
  const [areFinite, count, firstOut] = words;
  const [mass] = new Float32Array(words.buffer, words.byteOffset + 12, 1);
  const distance = (firstOut / keepBucketsPerUnit) * (1 - 2 ** -20); // as far as fp32 can tell
  return {
    areFinite: areFinite === 1,
    areAll: count <= mostKept,
    tokens: tokensFrom(words, 4, Math.min(mostKept, count)),
    others: firstOut < keepBuckets ? { distance, mass } : null,
  };
}

/** Logits that are taken out of their rows for a while. */
export interface SwapLogits<A> {
  readonly source: A; // (row, width)
  readonly places: A; // (place), 32 bits each: row * width + token
  readonly saved: A; // (place)
  readonly count: number;
  readonly putsBack: boolean;
}

export function swapLogits<A>(operation: SwapLogits<A>, limits: KernelLimits): Dispatch<A> {
  const { source, places, saved, count, putsBack } = operation;
  return createDispatch('swap-logits', {
    constants: { threads: itemThreads },
    addresses: { source, places, saved },
    words: { count, putsBack: Number(putsBack) },
    groups: spread(Math.ceil(count / itemThreads), limits),
  });
}

/** One word: 1 where the first value of every row is finite, else 0. */
export interface StartsFinite<A> {
  readonly source: A; // (row, width)
  readonly target: A;
  readonly rows: number;
  readonly width: number;
}

export function startsFinite<A>({ source, target, rows, width }: StartsFinite<A>): Dispatch<A> {
  return createDispatch('starts-finite', {
    constants: { threads: itemThreads },
    addresses: { source, target },
    words: { rows, width },
    groups: [1, 1, 1],
  });
}
