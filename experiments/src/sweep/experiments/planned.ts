/** Throughput against device memory, each size planned by itself: what choosing anew buys where others keep their policy. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

/** Layers stay on the device where there is room for them. */
const { pinnedLayers: _asManyAsFit, ...roomy } = publishedPolicy;

export const planned = defineExperiment({
  name: 'planned',
  question: 'What does planning anew for each size of device memory buy?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', acceptance: 0.8 },
    ...{ prompts: 512, promptTokens: 783, maxNewTokens: 16 },
  },
  axes: {
    system: [
      { label: 'FlexGen, planned', settings: { strategy: 'flexgen', planned: 'without draft' } },
      { label: 'SpecOffload, layers pinned', settings: { strategy: 'specoffload', ...roomy } },
      { label: 'planned, no draft', settings: { planned: 'without draft' } },
      { label: 'planned', settings: { planned: 'with draft' } },
    ],
    deviceGB: [8, 12, 16, 24, 48],
  },
  derived: { deviceMemory: 'deviceGB * 1e9' },
  baseline: { system: 'FlexGen, planned' },
  quick: {
    // A plan of it takes a second.
    settings: { target: 'llama-3.2-3b', draft: 'llama-3.2-1b', prompts: 8, promptTokens: 64 },
    axes: {
      system: [
        { label: 'FlexGen, planned', settings: { strategy: 'flexgen', planned: 'without draft' } },
        { label: 'planned, no draft', settings: { planned: 'without draft' } },
      ],
      deviceGB: [2, 4],
    },
  },
});
