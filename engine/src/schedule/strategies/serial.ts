/**
 * Serial speculative decoding. Device: the draft proposes for the whole batch, then the target verifies all
 * candidates in one pass; disk and link prefetch the pass's first weights while the draft works. Source: Leviathan
 * et al., arXiv 2211.17192, applied to a target whose weights stream.
 */

import { hasUnfinished, type Strategy } from './strategy.js';

export const serial: Strategy = {
  name: 'serial',
  summary: 'the draft proposes, then the target verifies in one pass',
  usesDraft: true,
  defaults: { speculation: 'serial', batches: 1 },
  async decode({ batches, propose, verify }) {
    while (batches.some(hasUnfinished))
      for (const [batch, sequences] of batches.entries()) {
        if (!hasUnfinished(sequences)) continue;
        await propose(batch);
        await verify(batch);
      }
  },
};
