/** Whether speculation that saves time saves energy: where weights come from disk, cross the link, or stay on the card. */

import { defineExperiment } from '../../definitions/definition.js';

const on = (label: string, machine: string) => ({ label, settings: { machine } });

export const energy = defineExperiment({
  name: 'energy',
  question: 'Does speculation save energy where it saves time?',
  kind: 'simulated',
  metric: 'joulesPerToken',
  lowerIsBetter: true,
  settings: {
    ...{ target: 'mixtral-8x7b', draft: 'mistral-7b', promptTokens: 128, maxNewTokens: 16, candidates: 4 },
    ...{ draftCache: 'window', draftPlacement: 'after-prefill', prefillBatch: 16, draftBatch: 32 },
  },
  axes: {
    weights: [
      on('partly from disk, RTX 4090', 'rtx-4090+pcie4+ddr5-dual+nvme4'),
      on('over the link, RTX 4090', 'rtx-4090+pcie3+ddr4-quad+nvme3'),
      on('on the card, H200', 'h200-sxm'),
    ],
    acceptance: [0.5, 0.8],
    prompts: [8, 128],
    system: [
      { label: 'plain', settings: { strategy: 'none' } },
      { label: 'serial', settings: { strategy: 'serial' } },
      { label: 'SpecOffload', settings: { strategy: 'specoffload' } },
    ],
  },
  seeds: [1, 2, 3, 4, 5],
  baseline: { system: 'plain' },
  quick: {
    settings: { maxNewTokens: 4 },
    axes: {
      weights: [on('over the link, RTX 4090', 'rtx-4090+pcie3+ddr4-quad+nvme3')],
      ...{ acceptance: [0.8], prompts: [8] },
    },
    seeds: [1, 2, 3],
  },
});
