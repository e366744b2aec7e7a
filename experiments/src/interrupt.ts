/** Ctrl-C: the first asks the work to stop, the second ends the process at once. */

import { InterruptedError } from './errors.js';

/** npm passes on a Ctrl-C that the terminal has delivered already: both arrive within moments. */
const echoMs = 500;

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

export interface Interrupts {
  /** Aborted with an {@link InterruptedError}. */
  readonly signal: AbortSignal;
  stop(): void;
}

export function listenForInterrupts(host: NodeJS.Process): Interrupts {
  const controller = new AbortController();
  let firstMs: number | null = null;
  const onSignal = (name: NodeJS.Signals) => {
    const exitCode = exitCodes[name as keyof typeof exitCodes];
    const nowMs = performance.now();
    if (firstMs === null) {
      firstMs = nowMs;
      controller.abort(new InterruptedError(exitCode));
      if (host.stderr.isTTY) host.stderr.write('\nstopping; Ctrl-C again ends at once\n');
    } else if (nowMs - firstMs > echoMs) host.exit(exitCode);
  };
  const names = Object.keys(exitCodes) as NodeJS.Signals[];
  for (const name of names) host.on(name, onSignal);
  return {
    signal: controller.signal,
    stop: () => {
      for (const name of names) host.off(name, onSignal);
    },
  };
}
