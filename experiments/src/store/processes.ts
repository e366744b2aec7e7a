/** Whether a process is still there, for what it may have left behind. */

import { hasCode } from '@specoffload/input';

export function isAlive(pid: number): boolean {
  if (!(Number.isSafeInteger(pid) && pid > 0)) return false;
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM'); // it is there and belongs to somebody else
  }
}
