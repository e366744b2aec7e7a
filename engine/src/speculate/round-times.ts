/**
 * What a round takes, by number of candidates: from the end of one verification to the end of the next, whatever overlaps.
 * Only stretches count in which nothing had another number, and no draft had to catch up with a text first.
 */

/** Of the latest time, against those before. */
const weightOfLatest = 0.3;
/** Of a round's time for each candidate, where nothing is known yet. */
const guessedShare = 0.1;

export class RoundTimes {
  readonly #now: () => number;
  readonly #known = new Map<number, number>();
  /** In the round that was timed last. */
  #numSequences = 0;
  /** Batches for which a draft knows all but the latest tokens. */
  readonly #caughtUp = new Set<number>();
  readonly #catchingUp = new Set<number>();
  /** Since the latest verification ended; null: something began that does not count. */
  #startSeconds: number | null = null;
  /** Numbers of candidates in what has happened since. */
  readonly #met = new Set<number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  beginWave(): void {
    this.#startSeconds = null;
    this.#caughtUp.clear();
    this.#catchingUp.clear();
  }

  beginProposing(batch: number, candidates: number): void {
    this.#met.add(candidates);
    if (candidates === 0) this.#caughtUp.delete(batch);
    else if (!this.#caughtUp.has(batch)) {
      this.#catchingUp.add(batch);
      this.#startSeconds = null;
    }
  }

  endProposing(batch: number, candidates: number): void {
    this.#met.add(candidates);
    // It may have begun before the latest verification ended.
    if (this.#catchingUp.delete(batch)) this.#startSeconds = null;
    if (candidates > 0) this.#caughtUp.add(batch);
  }

  /**
   * A batch has been verified.
   * @param counts false where other candidates were verified than were asked for
   * @returns whether its time was taken
   */
  endRound(candidates: number, numSequences: number, counts: boolean): boolean {
    this.#met.add(candidates);
    const end = this.#now();
    const isTimed = counts && this.#startSeconds !== null && this.#met.size === 1;
    if (isTimed) this.#take(candidates, end - (this.#startSeconds as number), numSequences);
    this.#startSeconds = this.#catchingUp.size > 0 ? null : end;
    this.#met.clear();
    return isTimed;
  }

  isKnown(candidates: number): boolean {
    return this.#known.has(candidates);
  }

  /**
   * Measured; or, between two that are, the middle of what it is at least, if more candidates never take less, and at most,
   * if each takes no less than the one before; beyond, as if it went on like that.
   */
  secondsOf(candidates: number): number {
    const own = this.#known.get(candidates);
    if (own !== undefined) return own;
    const numbers = [...this.#known.keys()].sort((a, b) => a - b);
    const below = numbers.filter((number) => number < candidates);
    const above = numbers.find((number) => number > candidates);
    const nearest = below.at(-1);
    if (nearest === undefined) return above === undefined ? 1 + guessedShare * candidates : this.#of(above);
    if (above === undefined) return this.#beyond(candidates, nearest, below.at(-2));
    const share = (candidates - nearest) / (above - nearest);
    return this.#of(nearest) + (share / 2) * Math.max(0, this.#of(above) - this.#of(nearest));
  }

  /** If each candidate takes no less than the one before; null with less than two known numbers. */
  leastSecondsOfNone(): number | null {
    const [first, second] = [...this.#known.keys()].sort((a, b) => a - b);
    if (second === undefined) return null;
    const slope = (this.#of(second) - this.#of(first)) / (second - first);
    return Math.max(0, this.#of(first) - Math.max(0, slope) * first);
  }

  #beyond(candidates: number, nearest: number, before: number | undefined): number {
    const seconds = this.#of(nearest);
    const slope =
      before === undefined
        ? (guessedShare * seconds) / (1 + guessedShare * nearest)
        : Math.max(0, seconds - this.#of(before)) / (nearest - before);
    return seconds + slope * (candidates - nearest);
  }

  #of(candidates: number): number {
    return this.#known.get(candidates) as number;
  }

  #take(candidates: number, seconds: number, numSequences: number): void {
    const own = this.#known.get(candidates);
    const isOther = numSequences !== this.#numSequences;
    this.#numSequences = numSequences;
    if (own === undefined) this.#known.set(candidates, seconds);
    else if (!isOther) this.#known.set(candidates, own + weightOfLatest * (seconds - own));
    // Sequences have ended, or others have begun: what that does to one number's time, it does to the others'.
    else for (const [number, known] of this.#known) this.#known.set(number, known * (seconds / own));
  }
}
