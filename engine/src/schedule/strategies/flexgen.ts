/**
 * FlexGen's block schedule. A block of several micro-batches passes each layer together, so its weights cross once
 * for all of them. Link: the next layer's weights while this one computes, each micro-batch's KV cache in and out;
 * device: everything else. Weights that fit stay on the device. Source: Sheng et al., arXiv 2303.06865, and the loop
 * `generation_loop_overlap_multi_batch` of FlexLLMGen's flex_opt.py.
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const flexgen: Strategy = {
  name: 'flexgen',
  summary: "the next layer's weights and each micro-batch's KV cache cross while this one computes",
  orders: plainOrWithDraft,
  planned: [],
  defaults: { batches: 1, cache: 'host', attention: 'device', prefetchDepth: 1 },
};
