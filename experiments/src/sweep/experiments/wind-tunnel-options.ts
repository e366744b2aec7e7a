/** What each option beyond the published schedule brings in the wind tunnel, alone and all together. */

import { defineExperiment } from '../../definitions/definition.js';
import { asPublished } from './wind-tunnel.js';

const options = {
  'prompts layer by layer': { prefillOrder: 'layer-major', prefillBatch: 4 },
  'the draft sees a window': { draftCache: 'window', draftWindow: 64 },
  'attention on the device': { projections: 'device', attention: 'device' },
  'FFNs shared with the host': { hostShare: 0.15 },
  'eight candidates': { candidates: 8 },
  'second choices, too': { alternates: 4 },
  'residents by tensor': { residents: 'tensors' },
  'batches join': { joinBatches: 'yes' },
  'weights packed': { targetFormat: 'bf16_packed' },
} as const;

const together = Object.assign({}, ...Object.values(options)) as object;

export const windTunnelOptions = defineExperiment({
  name: 'wind-tunnel-options',
  question: 'What does each option beyond the published schedule bring, alone and with all others?',
  kind: 'measured',
  settings: { machine: 'tunnel:env1', strategy: 'specoffload', ...asPublished },
  axes: {
    option: [
      { label: 'as published', settings: {} },
      ...Object.entries(options).map(([label, settings]) => ({ label, settings })),
      { label: 'all of them', settings: together },
    ],
  },
  repeats: 2,
  baseline: { option: 'as published' },
  quick: {
    axes: {
      option: [
        { label: 'as published', settings: {} },
        { label: 'all of them', settings: together },
      ],
    },
    settings: {
      ...{ machine: 'local', target: 'pair:100MB', draft: 'pair', workload: 'dialogue', prompts: 4 },
      ...{ deviceMemory: '128MB', hostMemory: '256MB', linkCap: '150MB/s', maxNewTokens: 8 },
    },
    repeats: 2,
  },
});
