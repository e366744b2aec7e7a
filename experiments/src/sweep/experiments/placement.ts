/** Where SpecOffload's pieces should live: projections, attention, KV cache, attention weights. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

export const placement = defineExperiment({
  name: 'placement',
  question: "On which side of the link should the target's attention, its projections and its KV cache live?",
  kind: 'simulated',
  settings: {
    ...{
      machine: 'env1',
      target: 'mixtral-8x7b',
      draft: 'mistral-7b',
      acceptance: 0.8,
      strategy: 'specoffload',
    },
    ...publishedPolicy,
    ...{ prompts: 128, decodeBatch: 64, prefillBatch: 32, promptTokens: 437, maxNewTokens: 32 },
  },
  axes: {
    projections: ['host', 'device'],
    attention: ['host', 'device'],
    prefillAttention: ['host', 'device'],
    cache: ['host', 'device'],
    attentionWeights: ['streamed', 'resident'],
  },
  // Attention on the host reads a cache that is there.
  filters: ['cache == "host" or (attention == "device" and prefillAttention == "device")'],
  baseline: {
    projections: 'host',
    attention: 'host',
    prefillAttention: 'device',
    cache: 'host',
    attentionWeights: 'streamed',
  },
  quick: {
    settings: { maxNewTokens: 8 },
    axes: { prefillAttention: ['device'], attentionWeights: ['streamed'] },
  },
});
