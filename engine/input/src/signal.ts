/** The abort signal of whoever runs the code at hand: a notebook's kernel, for the cell under way. */

/** Of the whole process, whichever copy of this package reads or writes it. */
const place = Symbol.for('specoffload.currentSignal');

type Place = { [place]?: () => AbortSignal };

/** From now on long calls that are given no signal stop when the one that `current` returns as they begin aborts. */
export function publishSignal(current: () => AbortSignal): void {
  Object.defineProperty(globalThis, place, { value: current, configurable: true });
}

/** What a long call listens to that was given no signal; undefined where nobody has published one. */
export function currentSignal(): AbortSignal | undefined {
  return (globalThis as Place)[place]?.();
}
