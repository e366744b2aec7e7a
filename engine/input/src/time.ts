/** Work on strangers' words that may never come to an end, such as a regular expression that backtracks. */

import { createContext, Script } from 'node:vm';

/** Made when it is first needed: a context takes a process two milliseconds. */
let timed: { readonly script: Script; readonly context: { work: unknown } } | undefined;

/**
 * Calls `work`, and ends it where it stands once its time is over.
 *
 * @param milliseconds at least 1
 * @returns null when the time was not enough, else what `work` returned
 * @throws what `work` throws
 */
export function withinTime<Result>(
  milliseconds: number,
  work: () => Result,
): { readonly result: Result } | null {
  timed ??= { script: new Script('work()'), context: createContext({ work: null }) as { work: unknown } };
  const { script, context } = timed;
  const before = context.work;
  context.work = work;
  try {
    return { result: script.runInContext(context, { timeout: Math.ceil(milliseconds) }) as Result };
  } catch (error) {
    // It comes from the other context, and so is no Error of this one.
    if ((error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw error;
  } finally {
    context.work = before;
  }
}
