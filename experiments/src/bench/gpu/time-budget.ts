/** What a bench may take, and what it left out to keep to it. */

import { UserError } from '@specoffload/input';

export class TimeBudget {
  /** A sentence each. */
  readonly skipped: string[] = [];
  readonly #endMs: number;
  readonly #nowMs: () => number;

  constructor(seconds: number, nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + seconds * 1000;
  }

  get leftSeconds(): number {
    return Math.max(0, (this.#endMs - this.#nowMs()) / 1000);
  }

  /** Whether something may begin that takes about so long; where not, that is said. */
  allows(what: string, aboutSeconds: number): boolean {
    if (aboutSeconds <= this.leftSeconds) return true;
    this.skip(
      `${what}: about ${Math.ceil(aboutSeconds)} s, of which ${Math.floor(this.leftSeconds)} s were left`,
    );
    return false;
  }

  skip(why: string): void {
    this.skipped.push(why);
  }

  /**
   * Has work end when the time is over.
   * @returns null where that ended it, or it was refused, which is said
   */
  async within<Result>(
    what: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result | null> {
    const over = AbortSignal.timeout(Math.ceil(this.leftSeconds * 1000));
    try {
      return await work(AbortSignal.any([signal, over]));
    } catch (error) {
      if (error instanceof UserError && !over.aborted) {
        this.skip(`${what}: ${error.message}`);
        return null;
      }
      if (signal.aborted || !over.aborted) throw error;
      this.skip(`${what}: the time was over before it ended`);
      return null;
    }
  }
}
