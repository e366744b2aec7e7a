/** Submissions that a device works on while the next are made. */

/** A few submissions under way; an error of one is that of whoever adds another or waits for all. */
export class Window {
  readonly #most: number;
  readonly #underWay: Promise<unknown>[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  async add(submission: Promise<unknown>): Promise<void> {
    submission.catch(() => {}); // it is awaited later
    this.#underWay.push(submission);
    if (this.#underWay.length >= this.#most) await this.#underWay.shift();
  }

  async drain(): Promise<void> {
    await Promise.all(this.#underWay.splice(0));
  }
}
