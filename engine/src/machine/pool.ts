/** Memory pools with hard limits: a layout is planned first, refused if it does not fit, and only then allocated. */

import { UserError } from '../model/types.js';

/** Everything starts at a multiple of this: direct reads need 4096. */
const alignmentBytes = 4096;

/** A place in a pool. */
export interface Region {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Where each named thing of a pool lies, found before any memory is taken. */
export class PoolLayout {
  readonly name: 'device' | 'host';
  #allocatedBytes = 0;
  #reservedBytes = 0;
  readonly #byLabel = new Map<string, number>();

  constructor(name: 'device' | 'host') {
    this.name = name;
  }

  /** Bytes the pool's own memory must have. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** Allocated and reserved bytes together: what counts against the budget. */
  get totalBytes(): number {
    return this.#allocatedBytes + this.#reservedBytes;
  }

  /** Bytes by label, largest first, for messages and reports. */
  get byLabel(): readonly (readonly [label: string, bytes: number])[] {
    return [...this.#byLabel].sort((a, b) => b[1] - a[1]);
  }

  /** Plans `byteLength` bytes for `label`. */
  place(label: string, byteLength: number): Region {
    const region = { byteOffset: this.#allocatedBytes, byteLength };
    const rounded = Math.ceil(byteLength / alignmentBytes) * alignmentBytes;
    this.#allocatedBytes += rounded;
    this.#count(label, rounded);
    return region;
  }

  /** Counts memory that something else allocates (an execution provider's workspace) against the budget. */
  reserve(label: string, byteLength: number): void {
    this.#reservedBytes += byteLength;
    this.#count(label, byteLength);
  }

  /** @throws UserError when the layout exceeds the budget; `remedy` says what would fit. */
  assertFits(budgetBytes: number, remedy: string): void {
    if (this.totalBytes <= budgetBytes) return;
    const largest = this.byLabel.slice(0, 4).map(([label, bytes]) => `${label} ${formatMebibytes(bytes)}`);
    throw new UserError(
      `the ${this.name} memory budget of ${formatMebibytes(budgetBytes)} is too small: this run needs ` +
        `${formatMebibytes(this.totalBytes)} (${largest.join(', ')}); ${remedy}`,
    );
  }

  #count(label: string, bytes: number): void {
    this.#byLabel.set(label, (this.#byLabel.get(label) ?? 0) + bytes);
  }
}

/** `1234.5 MiB`, rounded up so that a budget copied from a message suffices. */
export function formatMebibytes(bytes: number): string {
  return `${(Math.ceil((bytes / 2 ** 20) * 10) / 10).toFixed(1)} MiB`;
}
