/** What each idea of SpecOffload brings, alone and together: policy search, interleaving, speculation. */

import { defineExperiment } from '../../definitions/definition.js';
import { mostUnspeculatedSequences, unsearchedPolicy } from '../../reproduce/assumptions.js';
import { readPublishedRuns } from './published.js';

export async function createAblation() {
  const publishedRun = await readPublishedRuns();
  const question = { system: 'SpecOffload', model: 'Mixtral 8x7B', dataset: 'SummEval' } as const;
  const whole = publishedRun(question);
  const { decodeBatch = 1, ...undrafted } = publishedRun({ ...question, variant: 'no speculative decoding' });
  // Two batches in flight or one after the other: the same sequences in all, so that only the schedule differs.
  const { ending: _byAccounting, strategy: _byAxes, batches: _byInterleaving, ...speculating } = whole;
  return defineExperiment({
    name: 'ablation',
    question: 'What do policy search, interleaving and speculation bring, each alone and all together?',
    kind: 'simulated',
    metric: 'countedTokensPerSecond',
    settings: { machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', maxNewTokens: 32 },
    axes: {
      accounting: ['as-published', 'useful'],
      speculation: [
        { label: 'yes', settings: { ...speculating, strategy: 'specoffload' } },
        {
          label: 'no',
          settings: { ...undrafted, decodeBatch: Math.min(decodeBatch, mostUnspeculatedSequences) },
        },
      ],
      interleaving: [
        { label: 'yes', settings: { batches: 2 } },
        { label: 'no', settings: { batches: 1 } },
      ],
      search: [
        { label: 'yes', settings: {} },
        { label: 'no', settings: unsearchedPolicy },
      ],
    },
    cases: [{ when: { speculation: 'yes', interleaving: 'no' }, settings: { strategy: 'serial' } }],
    baseline: { speculation: 'no', interleaving: 'no', search: 'no' },
    quick: { settings: { maxNewTokens: 4 } },
  });
}
