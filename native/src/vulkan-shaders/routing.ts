/** Which experts rows go to, and every expert's rows. */

import { type KernelLimits, spread, threadsFor } from './dispatches.js';
import { createDispatch, type Dispatch } from './kernels.js';

export interface ExpertChoice<A> {
  readonly scores: A; // (row, expert)
  readonly chosen: A; // (row, 2, k) words: experts, the best first, and what their outputs are multiplied with
  readonly target: A; // (row, k + 1) words: the experts again, and the bits of the last one's lead
  readonly rows: number;
  readonly numExperts: number;
  /** k. */
  readonly perRow: number;
  /** Their softmax over all experts, not over the chosen. */
  readonly overAll: boolean;
}

export function chooseExperts<A>(
  { scores, chosen, target, rows, numExperts, perRow, overAll }: ExpertChoice<A>,
  limits: KernelLimits,
): Dispatch<A> {
  return createDispatch('choose-experts', {
    constants: { threads: threadsFor(numExperts, limits), numPlaces: perRow + 1 },
    addresses: { scores, chosen, target },
    words: { rows, numExperts, overAll: Number(overAll) },
    groups: spread(rows, limits),
  });
}

export interface RowLists<A> {
  readonly chosen: A; // (row, 2, k)
  readonly indices: A; // (row * k), by expert
  readonly scales: A; // (row * k)
  readonly rows: number;
  readonly numExperts: number;
  readonly perRow: number;
}

export function listRows<A>(
  { chosen, indices, scales, rows, numExperts, perRow }: RowLists<A>,
  limits: KernelLimits,
): Dispatch<A> {
  return createDispatch('list-rows', {
    constants: { threads: threadsFor(rows, limits) },
    addresses: { chosen, indices, scales },
    words: { rows, numExperts, k: perRow },
    groups: spread(numExperts, limits),
  });
}
