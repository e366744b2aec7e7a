/** The ways of speculating, as orders of proposing and verifying. One per value of `policy.speculation`. */

import type { Policy } from '../policy.js';
import { hasUnfinished, type Rounds } from './strategy.js';

/** Decodes all batches until every sequence is finished. */
export const decode: Readonly<Record<Policy['speculation'], (rounds: Rounds) => Promise<void>>> = {
  /** Every sequence of a batch advances by one token per pass. */
  none: (rounds) => inTurn(rounds, (batch) => rounds.verify(batch)),

  /** The draft proposes for the whole batch, then the target verifies all candidates in one pass. */
  serial: (rounds) =>
    inTurn(rounds, async (batch) => {
      await rounds.propose(batch);
      await rounds.verify(batch);
    }),

  /** The target verifies one batch while the draft proposes for the other; then they swap. */
  async interleaved({ batches, propose, verify }) {
    await propose(0);
    for (let verifying = 0; batches.some(hasUnfinished); verifying = (verifying + 1) % batches.length) {
      const proposing = (verifying + 1) % batches.length;
      // With one batch in flight there is no other to propose for: this is then serial speculation.
      if (proposing === verifying) {
        await verify(verifying);
        await propose(proposing);
      } else await Promise.all([verify(verifying), propose(proposing)]);
    }
  },

  /** While the target verifies, the draft goes on as if all were accepted; where they were not, it starts again. */
  ahead: (rounds) =>
    inTurn(rounds, async (batch) => {
      await rounds.propose(batch);
      await Promise.all([rounds.verify(batch), rounds.proposeAhead(batch)]);
    }),
};

async function inTurn({ batches }: Rounds, advance: (batch: number) => Promise<void>): Promise<void> {
  while (batches.some(hasUnfinished))
    for (const [batch, sequences] of batches.entries()) if (hasUnfinished(sequences)) await advance(batch);
}
