/** How sequences end together, and those that wait take the places of those that have ended. */

import type { OpenPolicy } from '../schedule/policy.js';
import type { Sequence } from '../speculate/sequence.js';

/** Those who join are prefilled in the next pass, among the others. Mutates both lists. */
export function takePlaces(sequences: Sequence[], waiting: Sequence[], mostJoining: number): void {
  if (waiting.length === 0) return;
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

/** With `ending: slowest`, ends a batch's sequences once all of them are there. */
export function endTogether(
  { ending }: Pick<OpenPolicy, 'ending'>,
  sequences: readonly Sequence[],
  maxNewTokens: number,
): void {
  if (ending !== 'slowest') return;
  const isThere = ({ choices, isFinished }: Sequence) => isFinished || choices.length >= maxNewTokens;
  if (sequences.every(isThere)) for (const sequence of sequences) sequence.end();
}
