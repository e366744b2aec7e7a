/**
 * No speculation. Disk, link: all weights stream once per pass, prefetched across passes. Host: attention. Device:
 * projections and FFNs. Every sequence of a batch advances by one token per pass.
 */

import { inTurn, verifyOnly } from './orders.js';
import type { Strategy } from './strategy.js';

export const none: Strategy = {
  name: 'none',
  summary: 'weights stream with prefetch; one token per sequence and pass',
  orders: { none: inTurn(verifyOnly) },
  planned: 'everything',
  defaults: { batches: 1 },
};
