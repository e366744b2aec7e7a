/** How much of each memory a run may take. */

import type { LanePlace, MemoryName } from '../topology/topology.js';

/** Hard limits of both pools. */
export interface Budgets {
  readonly deviceBytes: number;
  readonly hostBytes: number;
  /**
   * Bytes that each byte of the target's KV cache in device memory counts as: a small run whose texts are short keeps a
   * cache there that the large one it stands for has no room for. @default 1
   */
  readonly deviceCacheFactor?: number;
  /** The same for a draft's cache that is kept between rounds. @default 1 */
  readonly draftCacheFactor?: number;
}

/** What each memory is handed out in. @default pages of 4096 bytes */
export type Granularity = Readonly<Record<MemoryName, number | undefined>>;

/** What placement has to respect. */
export interface MemoryLimits extends Budgets {
  /** Of memories besides device and host. @default there are none */
  readonly otherBytes?: Readonly<Record<MemoryName, number>>;
  readonly granularityBytes?: Granularity;
  /** Of a weight in crossbars. @default there are none */
  readonly bytesPerCrossbarWeight?: number | undefined;
  /** @default those of the local machine */
  readonly lanes?: readonly LanePlace[];
  /**
   * Weights that are not page-locked lie in the page cache. Every pass reads them in the same order, so that a cache
   * that cannot hold them all has dropped each by the time it is read again: all of them stay, or none. @default false
   */
  readonly hasPageCache?: boolean;
}

/** Memories in which things are planned, with what a run may take of each: weights rest on a disk and take nothing. */
export type BudgetsByMemory = ReadonlyMap<MemoryName, number>;

export function budgetsByMemory({ deviceBytes, hostBytes, otherBytes }: MemoryLimits): BudgetsByMemory {
  return new Map([['device', deviceBytes], ['host', hostBytes], ...Object.entries(otherBytes ?? {})]);
}
