/** Throughput against device memory: what more of it buys, to each system. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

/** Layers stay on the device where there is room for them. */
const { pinnedLayers: _asManyAsFit, ...roomy } = publishedPolicy;

export const memory = defineExperiment({
  name: 'memory',
  question: 'What does more device memory buy?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', acceptance: 0.8 },
    ...{ promptTokens: 783, maxNewTokens: 16 },
  },
  axes: {
    system: [
      {
        label: 'FlexGen',
        settings: { strategy: 'flexgen', prompts: 114, microBatch: 38, prefillBatch: 38, prefetchDepth: 1 },
      },
      {
        label: 'SpecOffload as published',
        settings: { strategy: 'specoffload', prompts: 512, ...publishedPolicy },
      },
      { label: 'SpecOffload, layers pinned', settings: { strategy: 'specoffload', prompts: 512, ...roomy } },
    ],
    deviceGB: [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 32, 48],
  },
  derived: { deviceMemory: 'deviceGB * 1e9' },
  baseline: { system: 'FlexGen' },
  quick: { axes: { deviceGB: [12, 24] } },
});
