/** What an interrupt stops: the cell under way, its signal, and whatever code of cells still waits for something. */

import { executionAsyncId } from 'node:async_hooks';
import { setImmediate } from 'node:timers';
import { publishSignal } from '@specoffload/input';
import { keepRealm, type Realm } from './realm.js';

export class Interruption extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('the cell was interrupted');
  }
}

let numInterrupts = 0;
let controller = new AbortController();
let onInterrupt: (() => void) | null = null;
/** Whether this thread is at work for the kernel rather than for a cell. */
let isKernelAtWork = false;
let realm: Realm | null = null;

export function interruptCells(): void {
  numInterrupts += 1;
  const stopped = controller;
  controller = new AbortController();
  onInterrupt?.();
  stopped.abort(new Interruption());
}

/** What the cells' code is given, around everything that it awaits: work that was interrupted ends as it goes on. */
export const awaiting = Object.freeze({
  now: () => numInterrupts,
  resume<T>(begun: number, value: T): T {
    if (begun !== numInterrupts) throw new Interruption();
    return value;
  },
  async *each<T>(values: AsyncIterable<T> | Iterable<T>): AsyncGenerator<Awaited<T>> {
    const begun = numInterrupts;
    for await (const value of values) yield awaiting.resume(begun, value);
  },
});

/**
 * Whether the JavaScript under way in this thread may be ended where it stands. Not the kernel's own; and not what
 * timers, streams and other callbacks run: Node keeps a stack of those, which ends the process when it does not match.
 */
export function isInterruptible(): boolean {
  return !isKernelAtWork && executionAsyncId() === 0;
}

/** From here on this thread works for the kernel, which must not be ended half-way. */
export function enterKernel(): void {
  isKernelAtWork = true;
  realm?.takeBack();
}

/** From here on what runs in this thread is code of cells. */
export function leaveKernel(): void {
  realm?.giveBack();
  isKernelAtWork = false;
}

/** What cells change of the language's own objects holds for cells alone from now on. */
export function shareRealm(): void {
  realm = keepRealm();
}

/** For what comes while a cell is under way, too. */
export function asKernel(work: () => void): void {
  const isEntering = !isKernelAtWork;
  if (isEntering) enterKernel();
  try {
    work();
  } finally {
    if (isEntering) leaveKernel();
  }
}

/**
 * Runs code of a cell as a microtask: one that computes without a pause may be ended there, and then it never settles.
 * It is called from within the kernel, and the kernel is entered again with its end.
 * @throws Interruption, or what `work` throws
 */
export function runInterruptible<T>(work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    // In a turn of its own: promises that wait in the same turn as code that was ended are lost with it.
    const end = (settle: () => void) => {
      onInterrupt = null;
      setImmediate(() => {
        enterKernel();
        settle();
      });
    };
    onInterrupt = () => end(() => reject(new Interruption()));
    Promise.resolve()
      .then(() => {
        leaveKernel();
        return work();
      })
      .then(
        (value) => end(() => resolve(value)),
        (error) => end(() => reject(error)),
      );
  });
}

export function publishCellSignal(): void {
  publishSignal(() => controller.signal);
}
