/** Paces transfers to a rate by reserving each one its slice of time on a virtual link. The twin of cpp/pacer.h. */

/** The slice of the virtual link that a transfer occupies. */
export interface LinkSlot {
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** How late a thread may be without slowing the link down: several time slices of a busy machine. */
export const forgivenSeconds = 0.02;

/**
 * The link is busy until some time. A transfer occupies it from then on, or from the moment it was asked for if that
 * is later; so a thread that wakes up late from its wait does not slow the link down. Knows no clock of its own.
 */
export class Pacer {
  readonly #bytesPerSecond: number;
  #freeSeconds = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  reserve(bytes: number, askedSeconds: number, nowSeconds: number): LinkSlot {
    // A source slower than the cap must not save up credit for a burst later; forgive scheduling delays only.
    const earliestSeconds = Math.max(askedSeconds, nowSeconds - forgivenSeconds);
    const startSeconds = Math.max(this.#freeSeconds, earliestSeconds);
    this.#freeSeconds = startSeconds + bytes / this.#bytesPerSecond;
    return { startSeconds, endSeconds: this.#freeSeconds };
  }
}
