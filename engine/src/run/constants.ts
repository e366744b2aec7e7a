/**
 * What ops name pass after pass, weights in their places and how a group's pieces lie, crosses to a lane's thread once:
 * an op's message then holds its number, and takes a third of the time.
 */

import type { WorkerOp } from '../schedule/ops.js';

/** An op on its way, with numbers in place of constants. */
type Crossing = Record<'pieces' | 'weights', object | number | undefined>;

function fieldOf(op: WorkerOp): keyof Crossing {
  return op.kind === 'upload' ? 'pieces' : 'weights';
}

/**
 * So many at a time, some megabytes: thousands of experts in hundreds of places would be more. Then both sides begin anew,
 * each when it comes to it, as messages keep their order.
 */
export const mostConstants = 4096;

/** What a thread has been sent. Constants are told apart by identity, so who makes ops must not make them anew. */
export class SentConstants {
  readonly #numbers = new Map<object, number>();

  /**
   * Mutates the op, which was made for this message alone.
   * @returns the constant, where the thread does not know it yet
   */
  pack(op: WorkerOp): object | undefined {
    const crossing = op as unknown as Crossing;
    const field = fieldOf(op);
    const constant = crossing[field];
    if (typeof constant !== 'object') return undefined;
    const number = this.#numbers.get(constant);
    if (number === undefined && this.#numbers.size === mostConstants) this.#numbers.clear();
    crossing[field] = number ?? this.#numbers.size;
    if (number !== undefined) return undefined;
    this.#numbers.set(constant, this.#numbers.size);
    return constant;
  }
}

/** What the thread has received. */
export class ReceivedConstants {
  readonly #constants: object[] = [];

  /** Mutates the op. */
  unpack(op: WorkerOp, constant: object | undefined): void {
    if (constant !== undefined) {
      if (this.#constants.length === mostConstants) this.#constants.length = 0;
      this.#constants.push(constant);
    }
    const crossing = op as unknown as Crossing;
    const field = fieldOf(op);
    const number = crossing[field];
    if (typeof number === 'number') crossing[field] = this.#constants[number];
  }
}
