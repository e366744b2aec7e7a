/** APEX's overlaps beside the device alone, on its two machines, for short and long answers. */

import { defineExperiment } from '../../definitions/definition.js';

/** Prompts are read a few at a time, as nothing streams: all layers stay. */
const resident = {
  pinnedLayers: 4096,
  prefetchDepth: 0,
  prefillOrder: 'batch-major',
  prefillBatch: 4,
} as const;

/**
 * As many sequences on the device as its memory holds, and on the host as many as keep it at work for as long as a few
 * passes of the device. All are asked for at once: while the last ones on the host are written, the device is idle, so
 * that gains are below those of a server that never runs dry.
 */
export const apex = defineExperiment({
  name: 'apex',
  question:
    'What does attention on the host bring where device memory limits the batch, and which overlap is best?',
  kind: 'simulated',
  settings: { ...resident, strategy: 'apex', draft: 'none', refill: 'yes', prefillAttention: 'device' },
  axes: {
    machine: [
      {
        label: 'T4',
        settings: { machine: 't4-apex', target: 'llama-2-7b', promptTokens: 128, prompts: 256 },
      },
      {
        label: 'A10',
        settings: { machine: 'a10-apex', target: 'llama-3.1-8b', promptTokens: 512, prompts: 3072 },
      },
    ],
    maxNewTokens: [32, 160],
    system: [
      {
        label: 'device only',
        settings: { strategy: 'none', attention: 'device', cache: 'device', prefillAttention: 'device' },
      },
      { label: 'two sub-batches', settings: { overlap: 'sub-batches' } },
      { label: 'asynchronous', settings: { overlap: 'asynchronous' } },
      { label: 'by rule', settings: { overlap: 'by-rule' } },
    ],
  },
  cases: [
    { when: { machine: 'T4' }, settings: { microBatch: 4, decodeBatch: 24 } },
    { when: { machine: 'A10' }, settings: { microBatch: 48, decodeBatch: 144 } },
    { when: { machine: 'T4', system: 'device only' }, settings: { decodeBatch: 4 } },
    { when: { machine: 'A10', system: 'device only' }, settings: { decodeBatch: 48 } },
  ],
  baseline: { system: 'device only' },
  quick: { settings: { prompts: 64 }, axes: { maxNewTokens: [8] } },
});
