/**
 * A machine as numbers: what its lanes can do and what its memories hold. Measured by `profile`, or written down from
 * data sheets and fits; every constant says where it comes from.
 */

import type { LaneName, TaskKind } from '../trace/types.js';
import type { MemoryLimits } from './budgets.js';
import type { Formats } from './formats.js';

/** How long a computing lane takes; see `secondsOf` in cost-model.ts for the formula. */
export interface ComputeRates {
  /** From one task's end to the next one's work, whatever it is. */
  readonly overheadSeconds: number;
  /** Matrix products with weights: rows and the rate reached, by ascending rows. */
  readonly arithmetic: readonly (readonly [rows: number, flopsPerSecond: number])[];
  /** Weights read from the lane's memory. */
  readonly memoryBytesPerSecond: number;
  /** KV cache that attention reads and copies: see {@link CacheTraffic}. */
  readonly cacheBytesPerSecond: number;
  /** @default each byte is read once */
  readonly cacheTraffic?: CacheTraffic;
  /** Scores and weighted values of attention. */
  readonly scoreFlopsPerSecond: number;
  /** Work that is not a matrix product: norms, gathers, kernel launches per row. */
  readonly secondsPerRow: number;
  /** From the end on the lane until the result is there; the lane is free meanwhile. */
  readonly latencySeconds: number;
}

/**
 * Bytes that software moves for each byte of KV cache it uses: `fixed + perHead x query heads that share a KV head`.
 * A library that appends by copying, and that repeats every KV head for the query heads that share it, moves many.
 */
export interface CacheTraffic {
  readonly fixed: number;
  readonly perHead: number;
}

/** What a kind of task does differently from its lane's other work. */
export type KindRates = Partial<ComputeRates>;

export interface MachineModel {
  readonly name: string;
  readonly description: string;
  readonly disk: {
    readonly overheadSeconds: number;
    /** Direct reads into page-locked memory. */
    readonly bytesPerSecond: number;
    /**
     * Reads through the page cache, of weights that their policy does not keep in page-locked memory. Absent where
     * every read is direct.
     */
    readonly pageableBytesPerSecond?: number;
  };
  readonly link: {
    readonly overheadSeconds: number;
    /** Out of page-locked host memory. */
    readonly bytesPerSecond: number;
    /** Out of any other. */
    readonly pageableBytesPerSecond: number;
    /** KV cache from host to device; the other way it goes as weights do. */
    readonly cacheBytesPerSecond: number;
    /** @default each byte crosses once */
    readonly cacheTraffic?: CacheTraffic;
  };
  readonly host: ComputeRates & { readonly kinds: Readonly<Partial<Record<TaskKind, KindRates>>> };
  readonly device: ComputeRates & { readonly kinds: Readonly<Partial<Record<TaskKind, KindRates>>> };
  /** More urgent work goes in between the pieces of a draft step, as between the kernels of a GPU. */
  readonly interruptsDraft: boolean;
  /**
   * How unequally long equal tasks take: the spread (sigma) of a log-normal factor of mean 1. A pipeline of lanes that
   * are nearly equally busy loses time to it, because buffers run full or empty.
   */
  readonly variability: Readonly<Record<LaneName, number>>;
  /** Tasks that a lane takes at once and works through in order, as a real lane does; 1 keeps priorities strict. */
  readonly laneWidth: Readonly<Record<LaneName, number>>;
  readonly memory: MemoryLimits & { readonly diskBytes: number };
  readonly formats: Formats;
  /** Paces of the runs that the rates were measured in, such as `diskBytesPerSecond`; left out where nobody has said. */
  readonly measuredUnder?: Readonly<Record<string, number>>;
}
