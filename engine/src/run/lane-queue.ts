/** A lane's order: ops as they come, but a divisible one lets what is more urgent in between its pieces. */

/**
 * Serves every other op that has come meanwhile.
 * @param restSeconds waits for one so long, where none has come. @default 0
 */
export type GiveWay = (restSeconds?: number) => Promise<void>;

export interface LaneQueueOptions<Op> {
  /** Never rejects. A divisible op calls `giveWay` between its pieces; for others it does nothing. */
  readonly serve: (op: Op, giveWay: GiveWay) => Promise<void>;
  readonly isDivisible: (op: Op) => boolean;
  /** Lets the thread receive what was sent to it. */
  readonly receive: () => Promise<void>;
  /** Ops that may be under way, where whoever serves them keeps their order. @default 1 */
  readonly depth?: number;
}

export class LaneQueue<Op> {
  readonly #options: LaneQueueOptions<Op>;
  readonly #waiting: Op[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #isServing = false;
  /** Ends a rest. */
  #wake: (() => void) | null = null;

  constructor(options: LaneQueueOptions<Op>) {
    this.#options = options;
  }

  push(op: Op): void {
    this.#waiting.push(op);
    this.#wake?.();
    if (!this.#isServing) void this.#serveAll();
  }

  async #serveAll(): Promise<void> {
    const { serve, isDivisible } = this.#options;
    this.#isServing = true;
    for (let op = this.#waiting.shift(); op !== undefined; op = this.#waiting.shift())
      await (isDivisible(op) ? serve(op, (restSeconds) => this.#giveWay(restSeconds)) : this.#begin(op));
    this.#isServing = false;
  }

  async #giveWay(restSeconds = 0): Promise<void> {
    const { isDivisible, receive } = this.#options;
    if (restSeconds > 0 && this.#waiting.every(isDivisible)) await this.#rest(restSeconds);
    await receive();
    for (;;) {
      const next = this.#waiting.findIndex((op) => !isDivisible(op));
      if (next < 0) return;
      const [op] = this.#waiting.splice(next, 1) as [Op];
      await this.#begin(op);
    }
  }

  /** Until an op comes, or so long. */
  #rest(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), 1000 * seconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }

  /** Begins an indivisible op; settles when there is room for another. */
  async #begin(op: Op): Promise<void> {
    const { serve, depth = 1 } = this.#options;
    if (depth === 1) return serve(op, nothing);
    const served = serve(op, nothing).finally(() => this.#underWay.delete(served));
    this.#underWay.add(served);
    if (this.#underWay.size >= depth) await Promise.race(this.#underWay);
  }
}

async function nothing(): Promise<void> {}
