/** How many sequences each system should run at once: its own best batch, on one machine and under one memory. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

const { decodeBatch: _swept, batches: _own, ...speculating } = publishedPolicy;
/** The same placement without the draft. */
const {
  draftBatch: _d,
  candidates: _c,
  draftCache: _k,
  draftPlacement: _p,
  ending: _e,
  ...streaming
} = speculating;

export const batch = defineExperiment({
  name: 'batch',
  question: 'How many sequences should each system run at once?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b' },
    ...{ promptTokens: 437, maxNewTokens: 32, acceptance: 0.8 },
  },
  axes: {
    system: [
      { label: 'FlexGen', settings: { strategy: 'flexgen', prefetchDepth: 1 } },
      { label: 'none', settings: { strategy: 'none', ...streaming } },
      { label: 'serial', settings: { strategy: 'serial', ...speculating } },
      { label: 'SpecOffload', settings: { strategy: 'specoffload', ...speculating } },
    ],
    decodeBatch: [16, 32, 64, 96, 128, 192, 256, 320, 384, 512],
  },
  derived: {
    // Two batches are in flight in SpecOffload, one in the others.
    prompts: 'decodeBatch * (strategy == "specoffload" ? 2 : 1)',
    // A block of FlexGen's is three batches that pass each layer together.
    microBatch: 'strategy == "flexgen" ? ceil(decodeBatch / 3) : decodeBatch',
    prefillBatch: 'strategy == "flexgen" ? ceil(decodeBatch / 3) : min(decodeBatch, 80)',
  },
  baseline: { system: 'FlexGen' },
  quick: { axes: { decodeBatch: [64, 256] } },
});
