/**
 * SpecOffload's dual-batch interleaving. While disk and link bring the target's weights, the host computes its
 * attention and the device its FFNs for one batch, the device's idle time goes to the draft, which proposes for the
 * other batch; then the batches swap. Source: Zhuge et al., arXiv 2505.10259.
 */

import { hasUnfinished, type Strategy } from './strategy.js';

export const specoffload: Strategy = {
  name: 'specoffload',
  summary: 'the target verifies one batch while the draft proposes for the other',
  usesDraft: true,
  defaults: { speculation: 'interleaved', batches: 2 },
  async decode({ batches, propose, verify }) {
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
};
