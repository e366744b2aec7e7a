/** Which weights are worth crossbars, and from which capacity on: group by group, beside the same machine with nothing in them. */

import { defineExperiment, type Settings } from '../../definitions/definition.js';

const held = (label: string, crossbars: string) => ({ label, settings: { crossbars } as Settings });

export const inMemory = defineExperiment({
  name: 'in-memory',
  question: 'Which weights are worth crossbars, and from which capacity on?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'rtx-4090+pcie3+ddr4-quad+nvme3+isaac', target: 'mixtral-8x7b', draft: 'mistral-7b' },
    ...{ prompts: 64, promptTokens: 128, maxNewTokens: 16, acceptance: 0.7, candidates: 4 },
    // Once weights do not move, the host's attention would be all that is waited for.
    ...{ attention: 'device', prefillAttention: 'device', cache: 'device' },
    ...{ draftCache: 'window', prefillBatch: 16, draftBatch: 32, residents: 'tensors' },
  },
  axes: {
    system: [
      { label: 'plain', settings: { strategy: 'none' } },
      { label: 'serial', settings: { strategy: 'serial' } },
    ],
    'machine.memory.crossbarsBytes': ['4GB', '16GB', '32GB', '64GB', '96GB'],
    held: [
      held('nothing', 'none'),
      held('head', 'head'),
      held('attention', 'attention'),
      held('draft', 'draft'),
      held('experts', 'experts'),
      held('all layers', 'layers'),
    ],
  },
  filters: ['system == "serial" or held != "draft"'],
  seeds: [1, 2, 3],
  baseline: { held: 'nothing' },
  quick: {
    settings: { maxNewTokens: 4, prompts: 8 },
    axes: { 'machine.memory.crossbarsBytes': ['16GB'] },
    seeds: [1],
  },
});
