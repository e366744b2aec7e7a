/**
 * Fiddler. Device: everything but the experts has its weights there. An expert that few rows chose is computed on
 * the host, where its weights are; one that many chose crosses the link and is computed on the device; nothing is
 * brought before the router has chosen. Source: Kamahori et al., arXiv 2402.07033, and its src/fiddler/mixtral.py,
 * whose costs of 7 per row on the host and 70 per expert on the device put the border at 10 rows.
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const fiddler: Strategy = {
  name: 'fiddler',
  summary: 'experts with few rows are computed on the host, the others brought after the router has chosen',
  orders: plainOrWithDraft,
  planned: [],
  defaults: {
    ...{ batches: 1, cache: 'device', attention: 'device', attentionWeights: 'resident' },
    ...{ streaming: 'on-demand', experts: 'routed', hostExpertRows: 10, pageLocked: 0 },
  },
};
