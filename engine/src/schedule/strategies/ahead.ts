/**
 * Verify once, draft ahead. One pass verifies the candidates of all sequences, so weights cross once for all of them;
 * meanwhile, in the device's idle time, the draft goes on behind the likeliest outcomes, each a number of candidates
 * that stand and a token that the target adds. Where one of them comes, its candidates are there at once; else the
 * draft proposes before the next pass, as in serial speculation.
 * Source: Kumar et al., Speculative Speculative Decoding, arXiv 2603.03251, applied to a target whose weights stream.
 */

import { inTurn, proposeAheadOfVerifying } from './orders.js';
import type { Strategy } from './strategy.js';

export const ahead: Strategy = {
  name: 'ahead',
  summary: 'the target verifies all while the draft prepares for the likeliest outcomes',
  orders: { ahead: inTurn(proposeAheadOfVerifying) },
  planned: [],
  defaults: { batches: 1, outcomes: 4 },
};
