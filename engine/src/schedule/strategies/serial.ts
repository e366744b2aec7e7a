/**
 * Serial speculative decoding. Device: the draft proposes for the whole batch, then the target verifies all
 * candidates in one pass; disk and link prefetch the pass's first weights while the draft works. Source: Leviathan
 * et al., arXiv 2211.17192, applied to a target whose weights stream.
 *
 * Beyond it (`speculation: ahead`): the draft goes on proposing, as if all its candidates were accepted, while the
 * target verifies them.
 */

import { inTurn, proposeAheadOfVerifying, proposeThenVerify } from './orders.js';
import type { Strategy } from './strategy.js';

export const serial: Strategy = {
  name: 'serial',
  summary: 'the draft proposes, then the target verifies in one pass',
  orders: { serial: inTurn(proposeThenVerify), ahead: inTurn(proposeAheadOfVerifying) },
  planned: 'everything',
  defaults: { batches: 1 },
};
