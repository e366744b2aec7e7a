/** Ctrl-C, and a terminal that closes: the first asks the work to stop, the second ends the process at once. */

import { InterruptedError } from '../terminal/errors.js';

/** npm passes on a Ctrl-C that the terminal has delivered already: both arrive within moments. */
const echoMs = 500;

const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export interface Interrupts {
  /** Aborted with an {@link InterruptedError}. */
  readonly signal: AbortSignal;
  /** Gives every Ctrl-C from now on to somebody who knows better what to end. */
  readonly take: (listener: () => void) => void;
}

/** Listens until the process ends: without a listener, Node ends the process at once, whatever is under way. */
export function listenForInterrupts(host: NodeJS.Process): Interrupts {
  const controller = new AbortController();
  let firstMs: number | null = null;
  let latestMs = Number.NEGATIVE_INFINITY;
  let taker: (() => void) | null = null;
  const onSignal = (name: NodeJS.Signals) => {
    const exitCode = exitCodes[name as keyof typeof exitCodes];
    const nowMs = performance.now();
    const isEcho = nowMs - latestMs <= echoMs;
    latestMs = nowMs;
    if (taker && name === 'SIGINT') return isEcho ? undefined : taker();
    if (firstMs === null) {
      firstMs = nowMs;
      controller.abort(new InterruptedError(exitCode));
      if (host.stderr.isTTY) host.stderr.write('\nstopping; Ctrl-C again ends at once\n');
    } else if (nowMs - firstMs > echoMs) host.exit(exitCode);
  };
  for (const name of Object.keys(exitCodes) as NodeJS.Signals[]) {
    const early = host.listeners(name); // of bin/specoffload.js, which go only when somebody else is there
    host.on(name, onSignal);
    for (const listener of early) host.off(name, listener as NodeJS.SignalsListener);
  }
  return {
    signal: controller.signal,
    take: (listener) => {
      taker = listener;
    },
  };
}
