/** Memory pools with hard limits: a layout is planned first, refused if it does not fit, and only then allocated. */

import { UserError } from '@specoffload/input';
import { type Arena, type ArenaHandle, f32, type NativeCore } from '@specoffload/native';
import type { MemoryName } from '../topology/topology.js';

/** Everything starts at a multiple of this: direct reads need 4096. */
const alignmentBytes = 4096;

/**
 * A pool larger than this is made of several arenas, because an ArrayBuffer of Node 20 holds at most 4 GiB. Nothing
 * that is placed straddles two of them, so a single thing can be no larger either.
 */
const bankBytes = 2 ** 32;

/** What something takes of a pool: whole pages, or whatever else its memory is handed out in. */
export function placedBytes(byteLength: number, granularityBytes = alignmentBytes): number {
  return Math.ceil(byteLength / granularityBytes) * granularityBytes;
}

/** A place in a pool. Offsets count through all of its banks. */
export interface Region {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** How far a plan has come. */
interface Mark {
  readonly allocated: number;
  readonly reserved: number;
  readonly gaps: readonly Region[];
  readonly byLabel: readonly (readonly [label: string, bytes: number])[];
}

/** Where each named thing of a pool lies, found before any memory is taken. */
export class PoolLayout {
  readonly name: MemoryName;
  readonly #bankBytes: number;
  readonly #granularityBytes: number;
  #allocatedBytes = 0;
  #reservedBytes = 0;
  /** Ends of banks in which nothing lies. */
  #gaps: readonly Region[] = [];
  readonly #byLabel = new Map<string, number>();

  /** @param largestPieceBytes what one thing can take at most; Infinity for memory that is only imagined. */
  constructor(name: MemoryName, largestPieceBytes = bankBytes, granularityBytes = alignmentBytes) {
    this.name = name;
    this.#granularityBytes = granularityBytes;
    this.#bankBytes = largestPieceBytes;
  }

  /** Bytes the pool's own memory must have. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** Allocated and reserved bytes together: what counts against the budget. */
  get totalBytes(): number {
    return this.#allocatedBytes - total(this.#gaps) + this.#reservedBytes;
  }

  /** Bytes of each bank up to the last thing in it; together what is allocated. */
  get banks(): readonly number[] {
    const numBanks = Math.ceil(this.#allocatedBytes / this.#bankBytes);
    return Array.from({ length: numBanks }, (_, bank) => {
      const start = bank * this.#bankBytes;
      const gap = this.#gaps.find(({ byteOffset }) => Math.floor(byteOffset / this.#bankBytes) === bank);
      return (gap?.byteOffset ?? Math.min(this.#allocatedBytes, start + this.#bankBytes)) - start;
    });
  }

  /** Bytes planned for a label so far. */
  bytesOf(label: string): number {
    return this.#byLabel.get(label) ?? 0;
  }

  /** Bytes by label, largest first, for messages and reports. */
  get byLabel(): readonly (readonly [label: string, bytes: number])[] {
    return [...this.#byLabel].sort((a, b) => b[1] - a[1]);
  }

  /**
   * Plans `byteLength` bytes for `label`.
   * @throws UserError when it is larger than one bank.
   */
  place(label: string, byteLength: number): Region {
    const rounded = placedBytes(byteLength, this.#granularityBytes);
    if (rounded > this.#bankBytes)
      throw new UserError(
        `${label} would take ${formatMegabytes(byteLength)} of ${this.name} memory in one piece, at most ${formatMegabytes(this.#bankBytes)} are possible; use smaller batches or shorter prompts`,
      );
    const freeInBank = this.#bankBytes - (this.#allocatedBytes % this.#bankBytes);
    const skipped = rounded > freeInBank ? freeInBank : 0; // never touched, so no memory is spent on it
    if (skipped > 0) this.#gaps = [...this.#gaps, { byteOffset: this.#allocatedBytes, byteLength: skipped }];
    const byteOffset = this.#allocatedBytes + skipped;
    this.#allocatedBytes = byteOffset + rounded;
    this.#count(label, rounded);
    return { byteOffset, byteLength };
  }

  /**
   * Plans things that are never there at the same time: the second plan starts where the first did, and the larger
   * one counts.
   */
  overlay(placeFirst: () => void, placeSecond: () => void): void {
    const start = this.#mark();
    placeFirst();
    const first = this.#mark();
    const firstBytes = this.totalBytes;
    this.#restore(start);
    placeSecond();
    const second = this.#mark();
    const isFirstLarger = this.totalBytes < firstBytes;
    if (isFirstLarger) this.#restore(first);
    this.#makeRoom(isFirstLarger ? second : first);
  }

  /** Real memory is taken once for a whole run: it has to reach as far as either plan does. */
  #makeRoom({ allocated, gaps }: Mark): void {
    if (this.#bankBytes === Number.POSITIVE_INFINITY || allocated <= this.#allocatedBytes) return;
    const before = this.totalBytes;
    this.#allocatedBytes = allocated;
    this.#gaps = gaps;
    this.#count('room for what comes later', this.totalBytes - before);
  }

  #mark(): Mark {
    return {
      allocated: this.#allocatedBytes,
      reserved: this.#reservedBytes,
      gaps: this.#gaps,
      byLabel: [...this.#byLabel],
    };
  }

  #restore({ allocated, reserved, gaps, byLabel }: Mark): void {
    this.#allocatedBytes = allocated;
    this.#reservedBytes = reserved;
    this.#gaps = gaps;
    this.#byLabel.clear();
    for (const [label, bytes] of byLabel) this.#byLabel.set(label, bytes);
  }

  /** Counts memory that something else allocates (an execution provider's workspace) against the budget. */
  reserve(label: string, byteLength: number): void {
    this.#reservedBytes += byteLength;
    this.#count(label, byteLength);
  }

  /** @throws UserError when the layout exceeds the budget; `remedy` says what would fit. */
  assertFits(budgetBytes: number, remedy: string): void {
    if (this.totalBytes <= budgetBytes) return;
    const largest = this.byLabel.slice(0, 4).map(([label, bytes]) => `${label} ${formatMegabytes(bytes)}`);
    throw new UserError(
      `the ${this.name} memory budget of ${formatMegabytes(budgetBytes)} is too small: this run needs ` +
        `${formatMegabytes(this.totalBytes)} (${largest.join(', ')}); ${remedy}`,
    );
  }

  #count(label: string, bytes: number): void {
    this.#byLabel.set(label, (this.#byLabel.get(label) ?? 0) + bytes);
  }
}

function total(regions: readonly Region[]): number {
  return regions.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** A pool's memory as one thread sees it. */
export class PoolMemory {
  readonly #banks: readonly Arena[];
  readonly #floats: readonly Float32Array[];

  private constructor(banks: readonly Arena[]) {
    this.#banks = banks;
    this.#floats = banks.map(({ buffer, byteLength }) => new Float32Array(buffer, 0, f32.count(byteLength)));
  }

  static create(
    core: NativeCore,
    { allocatedBytes: byteLength }: Pick<PoolLayout, 'allocatedBytes'>,
  ): PoolMemory {
    const numBanks = Math.max(1, Math.ceil(byteLength / bankBytes));
    const bytesOf = (bank: number) => Math.min(bankBytes, byteLength - bank * bankBytes);
    return new PoolMemory(
      Array.from({ length: numBanks }, (_, bank) =>
        core.createArena(Math.max(bytesOf(bank), alignmentBytes)),
      ),
    );
  }

  /** The same memory in another thread. */
  static open(core: NativeCore, handles: readonly ArenaHandle[]): PoolMemory {
    return new PoolMemory(handles.map((handle) => core.openArena(handle)));
  }

  get handles(): readonly ArenaHandle[] {
    return this.#banks.map(({ handle }) => handle);
  }

  /** The arena that holds an address, and the address within it. */
  locate(address: number): { readonly arena: Arena; readonly offset: number } {
    return { arena: this.#banks[Math.floor(address / bankBytes)], offset: address % bankBytes };
  }

  /** `count` fp32 values at a byte address that is a multiple of 4; shared, not copied. */
  floats(address: number, count: number): Float32Array {
    const first = f32.count(address % bankBytes);
    return this.#floats[Math.floor(address / bankBytes)].subarray(first, first + count);
  }

  /** Bytes from any address on; shared, not copied. */
  bytes(address: number, byteLength: number): Uint8Array {
    const { arena, offset } = this.locate(address);
    return new Uint8Array(arena.buffer, offset, byteLength);
  }

  /** Makes every value of it the same. */
  fill(value: number): void {
    for (const floats of this.#floats) floats.fill(value);
  }

  release(): void {
    for (const bank of this.#banks) bank.release();
  }
}

/** `1235 MB`, rounded up to three digits at least, so that a budget copied from a message suffices. */
export function formatMegabytes(bytes: number): string {
  const digits = bytes < 10e6 ? 2 : bytes < 100e6 ? 1 : 0;
  return `${(Math.ceil((bytes / 1e6) * 10 ** digits) / 10 ** digits).toFixed(digits)} MB`;
}
