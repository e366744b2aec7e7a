/**
 * HeteGen. Every FFN is split by rows: the host computes one share where the weights are, while the rest crosses the
 * link and is computed on the device. `hostShare` should make both take equally long; the planner finds it.
 * Source: Zhao et al., arXiv 2403.01164 (no code published).
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const hetegen: Strategy = {
  name: 'hetegen',
  summary: 'host and device share every FFN, so that less has to cross the link',
  orders: plainOrWithDraft,
  planned: ['hostShare'],
  defaults: { batches: 1, cache: 'device', attention: 'device', prefetchDepth: 1, hostShare: 0.2 },
};
