/** What keeping experts saved while a run decoded, and what bringing them ahead brought. */

import type { LaneName, MemoryName } from '../topology/topology.js';

type BytesByLane = Readonly<Record<LaneName, number>>;

export interface ExpertReport {
  /** Experts that routers chose, each once for a pass and layer; pinned layers' and those that the host computed not counted. */
  readonly chosen: number;
  /** How many of them lay in a memory already, because they had been used; in host memory of those not on the device. */
  readonly hits: Readonly<Record<MemoryName, number>>;
  /** By lane: what would have been moved for those. */
  readonly savedBytes: BytesByLane;
  /** Where it was foreseen what routers would choose. */
  readonly ahead?: {
    /**
     * By how many layers before, less one: experts that were foreseen, each once for a pass and layer, and those of them that
     * were chosen.
     */
    readonly foreseen: readonly number[];
    readonly right: readonly number[];
    /** Those that were brought by that, and those of them that were used before they made room. */
    readonly brought: number;
    readonly used: number;
    readonly broughtBytes: BytesByLane;
    /** For the others. */
    readonly wastedBytes: BytesByLane;
  };
}

/** Bytes by lane. */
export type Moves = readonly (readonly [lane: LaneName, bytes: number])[];

export class ExpertCounter {
  #chosen = 0;
  readonly #hits: Record<MemoryName, number> = { device: 0, host: 0 };
  readonly #savedBytes: Record<LaneName, number> = {};
  readonly #foreseen: number[] = [];
  readonly #right: number[] = [];
  readonly #ahead = { brought: 0, used: 0 };
  readonly #broughtBytes: Record<LaneName, number> = {};
  readonly #wastedBytes: Record<LaneName, number> = {};
  /** Brought ahead, and not used yet. */
  readonly #unused = new Map<string, Moves>();

  /** A router has chosen one that does not stay anyway. */
  choose(): void {
    this.#chosen += 1;
  }

  /** It lay there: this need not be moved. */
  hit(memory: MemoryName, saved: Moves): void {
    this.#hits[memory] += 1;
    add(this.#savedBytes, saved, 1);
  }

  /** So many were foreseen of a layer so many layers before, and so many of those were chosen. */
  judge(distance: number, foreseen: number, right: number): void {
    this.#foreseen[distance - 1] = (this.#foreseen[distance - 1] ?? 0) + foreseen;
    this.#right[distance - 1] = (this.#right[distance - 1] ?? 0) + right;
  }

  /** An expert was brought ahead. @param isUsed whether it has been asked for on its way */
  bring(group: string, moved: Moves, isUsed: boolean): void {
    this.#ahead.brought += 1;
    add(this.#broughtBytes, moved, 1);
    if (isUsed) this.#ahead.used += 1;
    else {
      add(this.#wastedBytes, moved, 1);
      this.#unused.set(group, moved);
    }
  }

  /** A router has chosen it. @returns whether it was brought ahead, and not used before */
  use(group: string): boolean {
    const moved = this.#unused.get(group);
    if (!moved) return false;
    this.#unused.delete(group);
    this.#ahead.used += 1;
    add(this.#wastedBytes, moved, -1);
    return true;
  }

  /** It has made room for another. */
  lose(group: string): void {
    this.#unused.delete(group);
  }

  report(): ExpertReport {
    const [foreseen, right] = [[...this.#foreseen], [...this.#right]];
    const [broughtBytes, wastedBytes] = [{ ...this.#broughtBytes }, { ...this.#wastedBytes }];
    return {
      ...{ chosen: this.#chosen, hits: { ...this.#hits }, savedBytes: { ...this.#savedBytes } },
      ...(foreseen.length > 0
        ? { ahead: { foreseen, right, ...this.#ahead, broughtBytes, wastedBytes } }
        : {}),
    };
  }
}

/** Mutates `bytes`. */
function add(bytes: Record<LaneName, number>, moves: Moves, sign: 1 | -1): void {
  for (const [lane, moved] of moves) bytes[lane] = (bytes[lane] ?? 0) + sign * moved;
}
