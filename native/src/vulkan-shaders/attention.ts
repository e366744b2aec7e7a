/** Attention over a KV cache in device memory: the tables that go with it, and its two dispatches. */

import { sequenceFields } from '../types.js';
import { type KernelLimits, type StoredVector, spread } from './dispatches.js';
import { createDispatch, type Dispatch, weightFormats } from './kernels.js';

export interface AttentionHeads {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
}

/** Where rows lie in the cache, and which rows of one sequence go together. */
export interface AttentionTables {
  /** (row, 4): element of the sequence's keys and values in the cache, its capacity, the row's position. */
  readonly places: Uint32Array;
  /** (run, 2): first row, rows. */
  readonly runs: Uint32Array;
  /** Rows of the longest run. */
  readonly longestRun: number;
}

const mostQueries = 16; // of a workgroup: the accumulators of a thread

/** Rows that share the keys they read. */
function rowsPerRun({ numHeads, numKvHeads }: AttentionHeads): number {
  return Math.max(1, Math.floor((mostQueries * numKvHeads) / numHeads));
}

/** @param sequences (sequence, 5) as in {@link AttentionCall} */
export function createAttentionTables(sequences: Float64Array, heads: AttentionHeads): AttentionTables {
  const places: number[] = [];
  const runs: number[] = [];
  const most = rowsPerRun(heads);
  let longestRun = 0;
  for (let i = 0; i < sequences.length; i += sequenceFields) {
    const [keys, values, capacity, numPast, numNew] = sequences.subarray(i, i + sequenceFields);
    for (let token = 0; token < numNew; token += 1) {
      if (token % most === 0) {
        const length = Math.min(most, numNew - token);
        runs.push(places.length / 4, length);
        longestRun = Math.max(longestRun, length);
      }
      places.push(keys, values, capacity, numPast + token);
    }
  }
  return { places: Uint32Array.from(places), runs: Uint32Array.from(runs), longestRun };
}

export interface Attention<A> extends AttentionHeads {
  readonly q: A; // (row, head, headDim)
  readonly k: A; // (row, kvHead, headDim)
  readonly v: A; // (row, kvHead, headDim)
  readonly out: A; // (row, head, headDim)
  readonly cache: A;
  readonly ropeCos: A; // (position, headDim / 2)
  readonly ropeSin: A;
  readonly tables: AttentionTables;
  readonly places: A; // the tables in memory that the device sees, at multiples of 16
  readonly runs: A;
  readonly window: number | null;
  readonly scale: number;
  readonly sinks?: StoredVector<A> | undefined; // (head)
}

/** @returns two dispatches, the second behind the first; none where there are no rows */
export function attend<A>(operation: Attention<A>, limits: KernelLimits): Dispatch<A>[] {
  const { q, k, v, out, cache, ropeCos: cos, ropeSin: sin, places, runs, sinks, tables } = operation;
  const { numHeads, numKvHeads, headDim, window, scale } = operation;
  const rows = tables.places.length / 4;
  if (rows === 0) return [];
  const queries = (tables.longestRun * numHeads) / numKvHeads;
  const shape = attentionShape(queries, headDim, limits);
  const appendThreads = 128;
  return [
    createDispatch('append-cache', {
      constants: { threads: appendThreads },
      addresses: { k, v, cache, cos, sin, places },
      words: { rows, numKvHeads, headDim },
      groups: spread(Math.ceil((rows * numKvHeads * headDim) / 2 / appendThreads), limits),
    }),
    createDispatch('attend', {
      constants: { ...shape, headDim, vectorFormat: weightFormats[sinks?.format ?? 'f32'] },
      addresses: { q, out, cache, cos, sin, places, runs, sinks: sinks?.address ?? null },
      words: { numHeads, numKvHeads, window: window ?? 0, scale },
      groups: [tables.runs.length / 2, numKvHeads, Math.ceil(queries / shape.numQueries)],
    }),
  ];
}

/** As many queries as there are and keys as shared memory holds, in powers of two: few pipelines. */
function attentionShape(queries: number, headDim: number, { sharedMemoryBytes }: KernelLimits) {
  let numQueries = Math.min(mostQueries, 2 ** Math.ceil(Math.log2(queries)));
  let blockKeys = 32;
  const available = Math.min(sharedMemoryBytes, 32_768); // more would leave a core fewer workgroups
  while (sharedBytes(numQueries, blockKeys, headDim) > available)
    if (blockKeys > numQueries || numQueries === 1) blockKeys /= 2;
    else numQueries /= 2;
  return { threads: 128, numQueries, blockKeys };
}

/** Of attend.comp. */
function sharedBytes(numQueries: number, blockKeys: number, headDim: number): number {
  const quads = Math.ceil(headDim / 4);
  const vectors = numQueries * quads + blockKeys * (quads + 1);
  return 16 * vectors + 8 * numQueries * blockKeys + 12 * numQueries;
}
