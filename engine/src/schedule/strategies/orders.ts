/** The small named moves that strategies compose their orders from. */

import type { Sequence } from '../../speculate/sequence.js';
import type { Order, Rounds } from './strategy.js';

/** One round of one batch. */
export type Round = (rounds: Rounds, batch: number) => Promise<void>;

/** Every sequence advances by one token per pass. */
export const verifyOnly: Round = (rounds, batch) => rounds.verify(batch);

/** The draft proposes for the whole batch, then the target verifies all candidates in one pass. */
export const proposeThenVerify: Round = async (rounds, batch) => {
  await rounds.propose(batch);
  await rounds.verify(batch);
};

/** While the target verifies, the draft goes on as if all were accepted; where they were not, it starts again. */
export const proposeAheadOfVerifying: Round = async (rounds, batch) => {
  await rounds.propose(batch);
  await Promise.all([rounds.verify(batch), rounds.proposeAhead(batch)]);
};

/** One batch after the other. */
export const inTurn =
  (round: Round): Order =>
  async (rounds) => {
    const { batches } = rounds;
    while (batches.some(hasUnfinished))
      for (const [batch, sequences] of batches.entries())
        if (hasUnfinished(sequences)) await round(rounds, batch);
  };

/**
 * The target verifies one batch while the draft proposes for the next; then they move on. What joins has no other batch
 * to propose for, as where one is in flight from the start: this is then serial speculation.
 */
export const interleave: Order = async (rounds) => {
  const { batches, propose, verify } = rounds;
  await propose(0);
  for (let verifying = 0; batches.some(hasUnfinished); verifying = (verifying + 1) % batches.length) {
    const proposing = (verifying + 1) % batches.length;
    if (proposing === verifying) {
      await verify(verifying);
      await propose(proposing);
    } else await Promise.all([verify(verifying), propose(proposing)]);
    if (rounds.join()) return inTurn(proposeThenVerify)(rounds);
  }
};

/** A published system does not speculate; a draft can be added to it. */
export const plainOrWithDraft = { none: inTurn(verifyOnly), serial: inTurn(proposeThenVerify) };

export function hasUnfinished(sequences: readonly Sequence[]): boolean {
  return sequences.some(({ isFinished }) => !isFinished);
}
