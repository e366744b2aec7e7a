/**
 * A link with a cap. Transfers are carried at once and in order, and delivered when a link of that rate would have
 * brought them: whoever is late to wake up, by the system's timer or because others have the core, loses no time of
 * the link. The next transfer is carried while the one before is still on its way.
 */

import { Pacer } from '@specoffload/native';
import { toError } from './dispatcher.js';

export interface Transfer<Op> {
  readonly id: number;
  readonly op: Op;
  /** Since when it could have been on its way. */
  readonly readySeconds: number;
}

export type Delivery =
  | { readonly id: number; readonly startSeconds: number; readonly endSeconds: number }
  | { readonly id: number; readonly error: Error };

export interface PacedLinkOptions<Op> {
  readonly bytesPerSecondCap: number;
  /** Really moves the bytes. @returns how many cross the link */
  readonly carry: (op: Op) => number;
  readonly deliver: (delivery: Delivery) => void;
  readonly nowSeconds: () => number;
  /** Blocks the thread. */
  readonly sleepUntil: (seconds: number) => void;
  /** Lets the thread receive what was sent to it. */
  readonly receive: () => Promise<void>;
}

export class PacedLink<Op> {
  readonly #options: PacedLinkOptions<Op>;
  readonly #pacer: Pacer;
  readonly #waiting: Transfer<Op>[] = [];
  /** Carried and not yet delivered: at most two, in the order of their ends. */
  readonly #underWay: Delivery[] = [];
  /** How long the latest one took to carry. */
  #carrySeconds = 0;
  #lastEndSeconds = 0;
  #isDelivering = false;

  constructor(options: PacedLinkOptions<Op>) {
    this.#options = options;
    this.#pacer = new Pacer(options.bytesPerSecondCap);
  }

  push(transfer: Transfer<Op>): void {
    this.#waiting.push(transfer);
    if (!this.#isDelivering) void this.#deliverAll();
  }

  async #deliverAll(): Promise<void> {
    const { receive, sleepUntil, deliver } = this.#options;
    this.#isDelivering = true;
    while (this.#waiting.length + this.#underWay.length > 0) {
      if (this.#underWay.length === 0) this.#carryNext();
      await receive();
      this.#carryAhead();
      const [delivery] = this.#underWay as [Delivery];
      if ('endSeconds' in delivery) sleepUntil(delivery.endSeconds);
      this.#underWay.shift();
      deliver(delivery);
    }
    this.#isDelivering = false;
  }

  /** Carries the next transfer if that does not hold up the one that is on its way. */
  #carryAhead(): void {
    const [delivery] = this.#underWay as [Delivery];
    const isAlone = this.#underWay.length === 1 && this.#waiting.length > 0;
    if (!isAlone || 'error' in delivery) return;
    if (delivery.endSeconds - this.#options.nowSeconds() >= this.#carrySeconds) this.#carryNext();
  }

  #carryNext(): void {
    this.#underWay.push(this.#carry(this.#waiting.shift() as Transfer<Op>));
  }

  #carry({ id, op, readySeconds }: Transfer<Op>): Delivery {
    const { carry, nowSeconds } = this.#options;
    const beganSeconds = nowSeconds();
    try {
      const slot = this.#pacer.reserve(carry(op), readySeconds, beganSeconds);
      const doneSeconds = nowSeconds();
      this.#carrySeconds = doneSeconds - beganSeconds;
      const startSeconds = Math.max(slot.startSeconds, this.#lastEndSeconds);
      this.#lastEndSeconds = Math.max(slot.endSeconds, doneSeconds);
      return { id, startSeconds, endSeconds: this.#lastEndSeconds };
    } catch (error) {
      return { id, error: toError(error) };
    }
  }
}
