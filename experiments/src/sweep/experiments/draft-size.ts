/** Whether a smaller draft that guesses worse beats a larger one that guesses better. */

import { publishedPolicy } from '@specoffload/engine';
import { defineExperiment } from '../../definitions/definition.js';

const { candidates: _swept, ...policy } = publishedPolicy;

export const draftSize = defineExperiment({
  name: 'draft-size',
  question: 'How much acceptance may a smaller draft lose and still be the better one?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'llama-3.3-70b', strategy: 'specoffload', ...policy },
    ...{ prompts: 512, promptTokens: 437, maxNewTokens: 32 },
  },
  axes: {
    draft: ['llama-3.2-1b', 'llama-3.1-8b'],
    acceptance: [0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    candidates: [2, 4, 6, 8],
  },
  seeds: [1, 2],
  baseline: { draft: 'llama-3.1-8b' },
  quick: { axes: { acceptance: [0.5, 0.8], candidates: [4] }, seeds: [1] },
});
