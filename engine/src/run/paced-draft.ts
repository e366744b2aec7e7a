/**
 * A device lane whose draft is held to a cap: a step takes as long as its arithmetic does at that rate, and what is more
 * urgent still goes in between and lengthens it, as on a virtual machine.
 */

import type { Execute } from './lane.js';
import { secondsPer } from './paced-lane.js';

export interface DraftClock {
  readonly nowSeconds: () => number;
  /** Blocks the thread. */
  readonly sleepUntil: (seconds: number) => void;
}

/** Timers wake up in whole milliseconds: the last of them is slept through. */
const timerSeconds = 0.0015;

/** @param cap floating-point operations per second; null: as fast as it goes */
export function paceDraft(
  execute: Execute,
  cap: number | null,
  { nowSeconds, sleepUntil }: DraftClock,
): Execute {
  if (cap === null) return execute;
  let urgentSeconds = 0;
  return async (op, giveWay) => {
    if (op.kind !== 'draft') {
      const beganSeconds = nowSeconds();
      const outcome = await execute(op, giveWay);
      urgentSeconds += nowSeconds() - beganSeconds;
      return outcome;
    }
    const urgentBefore = urgentSeconds;
    const outcome = await execute(op, giveWay);
    const ownEnd = outcome.startSeconds + op.flops * secondsPer(cap);
    const dueSeconds = () => ownEnd + urgentSeconds - urgentBefore;
    for (let left = dueSeconds() - nowSeconds(); left > 0; left = dueSeconds() - nowSeconds())
      if (left > timerSeconds) await giveWay(left - timerSeconds);
      else sleepUntil(dueSeconds());
    return { ...outcome, endSeconds: Math.max(outcome.endSeconds, dueSeconds()) };
  };
}
