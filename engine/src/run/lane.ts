/** What all lanes' threads have in common. */

import { nowSeconds } from '../machine/clock.js';
import type { Completion } from '../machine/device.js';
import type { WorkerOp } from '../schedule/ops.js';
import type { GiveWay } from './lane-queue.js';

/** What an op returned, and when it was really worked on. */
export interface Outcome<Result = unknown> {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly result: Result;
}

export type Execute = (op: WorkerOp, giveWay: GiveWay) => Promise<Outcome>;

/** The outcome of what one submission has done. */
export function outcomeOf<Result = null>(
  { startSeconds, endSeconds }: Completion,
  result: Result = null as Result,
): Outcome<Result> {
  return { startSeconds, endSeconds, result };
}

/** The outcome of what this thread does itself. */
export async function timed<Result>(work: () => Promise<Result> | Result): Promise<Outcome<Result>> {
  const startSeconds = nowSeconds();
  const result = await work();
  return { startSeconds, endSeconds: nowSeconds(), result };
}
