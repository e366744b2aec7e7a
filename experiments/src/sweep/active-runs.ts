/** The runs of a sweep that are under way. */

export class ActiveRuns {
  #count = 0;
  /** Waiting for any run to end. */
  #waiting: (() => void)[] = [];

  /** @param run that never rejects */
  add(run: Promise<void>): void {
    this.#count += 1;
    void run.then(() => {
      this.#count -= 1;
      const woken = this.#waiting;
      this.#waiting = [];
      for (const wake of woken) wake();
    });
  }

  /** Until fewer than so many are under way. */
  async roomWithin(width: number): Promise<void> {
    // Not Promise.race, which would register anew with each of thousands.
    while (this.#count >= width) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  allEnded(): Promise<void> {
    return this.roomWithin(1);
  }
}
