/**
 * A lane with a cap: the link by what crosses it, the host by the KV cache that its attention reads and by the
 * arithmetic of its experts. Ops are worked
 * off at once and in order, and delivered when a lane of that rate would have been done: whoever is late to wake up,
 * by the system's timer or because others have the core, loses no time of the lane. The next op is worked off while
 * the one before still takes its time.
 */

import { Pacer } from '@specoffload/native';
import { toError } from './dispatcher.js';

export interface PacedOp<Op> {
  readonly id: number;
  readonly op: Op;
  /** Since when it could have been under way. */
  readonly readySeconds: number;
}

export type Delivery =
  | {
      readonly id: number;
      readonly startSeconds: number;
      readonly endSeconds: number;
      readonly result: unknown;
    }
  | { readonly id: number; readonly error: Error };

/** An op that has been worked off. */
export interface Work {
  /** What it takes at its cap; 0 where it has none. */
  readonly seconds: number;
  readonly result?: unknown;
}

/** Of a byte or an operation; 0 where nothing paces it. */
export function secondsPer(cap: number | null): number {
  return cap === null ? 0 : 1 / cap;
}

export interface PacedLaneOptions<Op> {
  /** Really does it. */
  readonly work: (op: Op) => Work | Promise<Work>;
  readonly deliver: (delivery: Delivery) => void;
  readonly nowSeconds: () => number;
  /** Blocks the thread. */
  readonly sleepUntil: (seconds: number) => void;
  /** Lets the thread receive what was sent to it. */
  readonly receive: () => Promise<void>;
}

export class PacedLane<Op> {
  readonly #options: PacedLaneOptions<Op>;
  /** Reserves seconds rather than bytes: each op has its own cap. */
  readonly #pacer = new Pacer(1);
  readonly #waiting: PacedOp<Op>[] = [];
  /** Worked off and not yet delivered: at most two, in the order of their ends. */
  readonly #underWay: Delivery[] = [];
  /** How long working off the latest one took. */
  #workSeconds = 0;
  #lastEndSeconds = 0;
  #isDelivering = false;

  constructor(options: PacedLaneOptions<Op>) {
    this.#options = options;
  }

  push(op: PacedOp<Op>): void {
    this.#waiting.push(op);
    if (!this.#isDelivering) void this.#deliverAll();
  }

  async #deliverAll(): Promise<void> {
    const { receive, sleepUntil, deliver } = this.#options;
    this.#isDelivering = true;
    while (this.#waiting.length + this.#underWay.length > 0) {
      if (this.#underWay.length === 0) await this.#workOffNext();
      await receive();
      await this.#workAhead();
      const [delivery] = this.#underWay as [Delivery];
      if ('endSeconds' in delivery) sleepUntil(delivery.endSeconds);
      this.#underWay.shift();
      deliver(delivery);
    }
    this.#isDelivering = false;
  }

  /** Works off the next op if that does not hold up the one that is under way. */
  async #workAhead(): Promise<void> {
    const [delivery] = this.#underWay as [Delivery];
    const isAlone = this.#underWay.length === 1 && this.#waiting.length > 0;
    if (!isAlone || 'error' in delivery) return;
    if (delivery.endSeconds - this.#options.nowSeconds() >= this.#workSeconds) await this.#workOffNext();
  }

  async #workOffNext(): Promise<void> {
    this.#underWay.push(await this.#workOff(this.#waiting.shift() as PacedOp<Op>));
  }

  async #workOff({ id, op, readySeconds }: PacedOp<Op>): Promise<Delivery> {
    const { work, nowSeconds } = this.#options;
    const beganSeconds = nowSeconds();
    try {
      const { seconds, result } = await work(op);
      const slot = this.#pacer.reserve(seconds, readySeconds, beganSeconds);
      const doneSeconds = nowSeconds();
      this.#workSeconds = doneSeconds - beganSeconds;
      const startSeconds = Math.max(slot.startSeconds, this.#lastEndSeconds);
      this.#lastEndSeconds = Math.max(slot.endSeconds, doneSeconds);
      return { id, startSeconds, endSeconds: this.#lastEndSeconds, result };
    } catch (error) {
      return { id, error: toError(error) };
    }
  }
}
