/**
 * Hugging Face Accelerate's big-model inference. Link: a module's weights when its turn has come, out of pageable
 * host memory, into the only buffer; device: the module, KV cache and attention included; then the weights go. No
 * two lanes ever work at the same time. Source: accelerate `docs/source/concept_guides/big_model_inference.md`,
 * which says of the design that it does no pre-fetching.
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const accelerate: Strategy = {
  name: 'accelerate',
  summary: 'each module is brought, computed and dropped; nothing overlaps',
  orders: plainOrWithDraft,
  planned: [],
  defaults: {
    ...{ batches: 1, cache: 'device', attention: 'device', streaming: 'on-demand', pageLocked: 0 },
  },
};
