/** Work on texts of strangers that must not take for ever: parsers have inputs that they are slow on. */

import { Script } from 'node:vm';
import { hasCode } from '@specoffload/input';

const workName = '__specoffloadLimitedWork';
const script = new Script(`globalThis.${workName}()`);

/**
 * Calls `work`, which never waits, and stops it when it takes longer.
 * @returns null where it was stopped
 */
export function withinMilliseconds<T>(milliseconds: number, work: () => T): T | null {
  const place = globalThis as unknown as Record<string, (() => T) | undefined>;
  place[workName] = work;
  try {
    return script.runInThisContext({ timeout: milliseconds }) as T;
  } catch (error) {
    if (hasCode(error, 'ERR_SCRIPT_EXECUTION_TIMEOUT')) return null;
    throw error;
  } finally {
    delete place[workName];
  }
}
