/** What keeping experts saved while a run decoded. */

import type { LaneName, MemoryName } from '../topology/topology.js';

export interface ExpertReport {
  /** Experts that routers chose, each once for a pass and layer; pinned layers' and those that the host computed not counted. */
  readonly chosen: number;
  /** How many of them lay in a memory already; in host memory of those that were not on the device. */
  readonly hits: Readonly<Record<MemoryName, number>>;
  /** By lane: what would have been moved for those. */
  readonly savedBytes: Readonly<Record<LaneName, number>>;
}

export class ExpertCounter {
  #chosen = 0;
  readonly #hits: Record<MemoryName, number> = { device: 0, host: 0 };
  readonly #savedBytes: Record<LaneName, number> = {};

  /** A router has chosen one that does not stay anyway. */
  choose(): void {
    this.#chosen += 1;
  }

  /** It lay there: this need not be moved. */
  hit(memory: MemoryName, saved: readonly (readonly [lane: LaneName, bytes: number])[]): void {
    this.#hits[memory] += 1;
    for (const [lane, bytes] of saved) this.#savedBytes[lane] = (this.#savedBytes[lane] ?? 0) + bytes;
  }

  report(): ExpertReport {
    return { chosen: this.#chosen, hits: { ...this.#hits }, savedBytes: { ...this.#savedBytes } };
  }
}
