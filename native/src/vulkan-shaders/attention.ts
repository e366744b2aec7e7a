/** Attention over a KV cache in device memory: the tables that go with it, and its two dispatches. */

import { sequenceFields, sharedFields } from '../types.js';
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
  /** (row, 4): the fields of {@link AttentionCall.shared} of the row's sequence; null where nothing is shared. */
  readonly shared: Uint32Array | null;
  /** (run, 4): first row, rows, first part of their keys, parts. */
  readonly runs: Uint32Array;
  /** Runs that go together, one group behind the other. */
  readonly groups: readonly RunGroup[];
  /** Keys of a part. */
  readonly partKeys: number;
}

/** What goes through memory for parts of contexts holds all of its rows. */
interface RunGroup {
  readonly firstRun: number;
  readonly numRuns: number;
  readonly firstRow: number;
  /** Rows of the longest run. */
  readonly longestRun: number;
  readonly mostParts: number;
}

/** How contexts may be split. */
export interface AttentionParts {
  readonly window: number | null;
  /** Memory for what is found of parts. */
  readonly scratchBytes: number;
}

const mostQueries = 16; // of a workgroup: the accumulators of a thread

/** Rows that share the keys they read. */
function rowsPerRun({ numHeads, numKvHeads }: AttentionHeads): number {
  return Math.max(1, Math.floor((mostQueries * numKvHeads) / numHeads));
}

/** A workgroup reads so many keys of a long context; enough to outweigh what it writes for the others' sake. */
const fewestPartKeys = 256;
/** More new rows than these have workgroups enough, and split nothing. */
const mostSplitRows = 16;

function partialBytes({ numHeads, headDim }: AttentionHeads, rows: number, parts: number): number {
  return parts > 1 ? 4 * rows * numHeads * parts * (headDim + 2) : 0;
}

/** Doubled until a run's parts fit. What a row comes to depends on its own context alone. */
function partKeysFor(longest: number, heads: AttentionHeads, scratchBytes: number): number {
  let keys = fewestPartKeys;
  while (partialBytes(heads, rowsPerRun(heads), Math.ceil(longest / keys)) > scratchBytes) keys *= 2;
  return keys;
}

/**
 * @param sequences (sequence, 5) as in {@link AttentionCall}
 * @param parts missing: nothing is split
 */
export function createAttentionTables(
  sequences: Float64Array,
  heads: AttentionHeads,
  { window, scratchBytes }: AttentionParts = { window: null, scratchBytes: 0 },
  shared: Float64Array | null = null,
): AttentionTables {
  const places: number[] = [];
  const sharedPlaces: number[] = [];
  const runs: number[] = [];
  const most = rowsPerRun(heads);
  let longest = 0;
  for (let i = 0; i < sequences.length; i += sequenceFields)
    longest = Math.max(longest, sequences[i + 3] + sequences[i + 4]);
  const partKeys = partKeysFor(longest, heads, scratchBytes);
  const groups: RunGroup[] = [];
  for (let i = 0; i < sequences.length; i += sequenceFields) {
    const [keys, values, capacity, numPast, numNew] = sequences.subarray(i, i + sequenceFields);
    for (let token = 0; token < numNew; token += 1) {
      if (token % most === 0) {
        const [firstRow, length] = [places.length / 4, Math.min(most, numNew - token)];
        const begin = window === null ? 0 : Math.max(0, numPast + token + 1 - window);
        const firstPart = Math.floor(begin / partKeys);
        const isSplit = numNew <= mostSplitRows;
        const parts = isSplit ? Math.ceil((numPast + token + length) / partKeys) - firstPart : 1;
        addRun(
          groups,
          runs.length / 4,
          firstRow,
          length,
          parts,
          (rows, mostParts) => partialBytes(heads, rows, mostParts) <= scratchBytes,
        );
        runs.push(firstRow, length, firstPart, parts);
      }
      places.push(keys, values, capacity, numPast + token);
      if (shared) {
        const index = (i / sequenceFields) * sharedFields;
        sharedPlaces.push(...shared.subarray(index, index + sharedFields));
      }
    }
  }
  return {
    ...{ places: Uint32Array.from(places), runs: Uint32Array.from(runs), groups, partKeys },
    shared: shared && Uint32Array.from(sharedPlaces),
  };
}

/** To the latest group, where it `fits`, else to one of its own. Mutates `groups`. */
function addRun(
  groups: RunGroup[],
  run: number,
  firstRow: number,
  length: number,
  parts: number,
  fits: (rows: number, parts: number) => boolean,
): void {
  const last = groups.at(-1);
  const mostParts = Math.max(last?.mostParts ?? 1, parts);
  if (!last || !fits(firstRow + length - last.firstRow, mostParts)) {
    groups.push({ firstRun: run, numRuns: 1, firstRow, longestRun: length, mostParts: parts });
    return;
  }
  const longestRun = Math.max(last.longestRun, length);
  groups[groups.length - 1] = { ...last, numRuns: last.numRuns + 1, longestRun, mostParts };
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
  /** Missing where the tables have none. */
  readonly shared?: A | undefined;
  /** As much as the tables were made for. */
  readonly scratch: A;
  readonly window: number | null;
  readonly scale: number;
  readonly sinks?: StoredVector<A> | undefined; // (head)
}

/** @returns dispatches, each behind the one before; none where there are no rows */
export function attend(operation: Attention<number>, limits: KernelLimits): Dispatch<number>[] {
  const { q, k, v, out, cache, ropeCos: cos, ropeSin: sin, places, runs, scratch, sinks, tables } = operation;
  const { numHeads, numKvHeads, headDim, window, scale } = operation;
  const shared = operation.shared ?? null;
  const rows = tables.places.length / 4;
  if (rows === 0) return [];
  const threads = 128;
  return [
    createDispatch<'append-cache', number>('append-cache', {
      constants: { threads },
      addresses: { k, v, cache, cos, sin, places, shared },
      words: { rows, numKvHeads, headDim },
      groups: spread(Math.ceil((rows * numKvHeads * headDim) / 2 / threads), limits),
    }),
    ...tables.groups.flatMap(({ firstRun, numRuns, firstRow, longestRun, mostParts }) => {
      const queries = (longestRun * numHeads) / numKvHeads;
      const shape = attentionShape(queries, headDim, limits);
      const common = { runs: runs + 16 * firstRun, out, partials: mostParts > 1 ? scratch : null };
      const found = createDispatch<'attend', number>('attend', {
        constants: { ...shape, headDim, vectorFormat: weightFormats[sinks?.format ?? 'f32'] },
        addresses: { ...common, q, cache, cos, sin, places, shared, sinks: sinks?.address ?? null },
        words: {
          ...{ numHeads, numKvHeads, window: window ?? 0, scale },
          ...{ partKeys: tables.partKeys, mostParts, firstRow },
        },
        groups: [numRuns, numKvHeads, Math.ceil(queries / shape.numQueries) * mostParts],
      });
      if (mostParts === 1) return [found];
      const combined = createDispatch<'combine-parts', number>('combine-parts', {
        constants: { threads },
        addresses: common,
        words: { numHeads, headDim, mostParts, firstRow },
        groups: [numRuns, numHeads, 1],
      });
      return [found, combined];
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
