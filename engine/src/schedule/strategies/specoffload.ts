/**
 * SpecOffload's dual-batch interleaving. While disk and link bring the target's weights, the host computes its
 * attention and the device its FFNs for one batch, the device's idle time goes to the draft, which proposes for the
 * other batch; then the batches swap. Source: Zhuge et al., arXiv 2505.10259.
 */

import { interleave } from './orders.js';
import type { Strategy } from './strategy.js';

export const specoffload: Strategy = {
  name: 'specoffload',
  summary: 'the target verifies one batch while the draft proposes for the other',
  orders: { interleaved: interleave },
  planned: 'everything',
  defaults: { batches: 2 },
};
