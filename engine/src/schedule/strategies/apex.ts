/**
 * APEX. All weights live on the device. The attention of one micro-batch is computed on the device, that of the
 * other on the host, each where its sequences' cache is, at the same time; the device waits for the host only where it
 * needs the result. The model must fit into device memory. Source: arXiv 2506.03296.
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const apex: Strategy = {
  name: 'apex',
  summary: 'all weights on the device; host and device share the attention by sequences',
  orders: plainOrWithDraft,
  planned: [],
  // More layers than any model has: placement takes all, and refuses a model that does not fit.
  defaults: { batches: 1, attention: 'split', pinnedLayers: 4096 },
};
