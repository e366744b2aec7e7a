/** Refilling: sequences that wait take the places of those that have ended. */

import type { Sequence } from '../speculate/sequence.js';

/** Those who join are prefilled in the next pass, among the others. Mutates both lists. */
export function takePlaces(sequences: Sequence[], waiting: Sequence[], mostJoining: number): void {
  let joining = 0;
  for (const [place, { isFinished, targetBlock, draftBlock }] of sequences.entries()) {
    if (!isFinished || joining === mostJoining) continue;
    const next = waiting.shift();
    if (!next) return;
    Object.assign(next, { targetBlock, draftBlock });
    sequences[place] = next;
    joining += 1;
  }
}
