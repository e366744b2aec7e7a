/**
 * DeepSpeed's ZeRO-Inference. Link: one layer's weights at a time, out of page-locked host memory; device: the
 * layer, KV cache and attention included; the weights are freed before the next layer's come. Activations stay on
 * the device. Source: DeepSpeed pull request 2271 and the ZeRO-Inference notes it cites.
 */

import { plainOrWithDraft } from './orders.js';
import type { Strategy } from './strategy.js';

export const deepspeed: Strategy = {
  name: 'deepspeed',
  summary: 'each layer is brought, computed and dropped; the KV cache stays on the device',
  orders: plainOrWithDraft,
  planned: [],
  defaults: {
    ...{ batches: 1, pageLocked: 1 },
    ...{ cache: 'device', attention: 'device', streaming: 'on-demand' },
  },
};
