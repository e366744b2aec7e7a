/** From which acceptance on speculation pays, and how: rates by candidates by the ways of speculating. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

const { candidates: _swept, batches: _own, ...policy } = publishedPolicy;

export const acceptance = defineExperiment({
  name: 'acceptance',
  question: 'How well must the draft guess for each way of speculating to pay?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', ...policy },
    ...{ prompts: 512, promptTokens: 437, maxNewTokens: 32, ending: 'own-limit' },
  },
  axes: {
    scheme: [
      { label: 'no speculation', settings: { strategy: 'none', batches: 2 } },
      { label: 'serial', settings: { strategy: 'serial', speculation: 'serial', batches: 2 } },
      { label: 'ahead', settings: { strategy: 'serial', speculation: 'ahead', batches: 2 } },
      { label: 'interleaved', settings: { strategy: 'specoffload', batches: 2 } },
    ],
    acceptance: [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95],
    candidates: [2, 4, 6, 8],
  },
  baseline: { scheme: 'no speculation' },
  quick: { axes: { acceptance: [0.6, 0.9], candidates: [4] } },
});
