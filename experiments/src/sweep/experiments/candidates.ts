/** How many tokens to propose per round, for SpecOffload and for serial speculation, at several rates of acceptance. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

const { candidates: _swept, ...policy } = publishedPolicy;

export const candidates = defineExperiment({
  name: 'candidates',
  question: 'How many tokens should the draft propose per round?',
  kind: 'simulated',
  settings: { machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', maxNewTokens: 32, ...policy },
  axes: {
    strategy: ['serial', 'specoffload'],
    acceptance: [0.6, 0.7, 0.8, 0.9],
    candidates: [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16],
  },
  seeds: [1, 2, 3],
  baseline: { strategy: 'serial' },
  quick: { axes: { acceptance: [0.8], candidates: [2, 4, 8] }, seeds: [1] },
});
