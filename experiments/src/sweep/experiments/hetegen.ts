/** HeteGen as published, each of its four ideas left out, and FlexGen beside it, on its own machine. */

import { defineExperiment, type Settings } from '../../definitions/definition.js';

/** Its weights lie page-locked from the start and need not be copied before they cross. */
const flexgen: Settings = {
  ...{ strategy: 'flexgen', balance: 'given', hostShare: 0, prefetchDepth: 1, residents: 'layers' },
  'machine.pin.bytesPerSecond': '10TB/s',
};

/**
 * Three stages need two page-locked buffers: one is filled while the other crosses. Without the manager a module is
 * copied, crosses and is used before the next one's turn.
 */
export const hetegen = defineExperiment({
  name: 'hetegen',
  question: 'What does each idea of HeteGen bring on its own machine, and how far is it ahead of FlexGen?',
  kind: 'simulated',
  settings: {
    ...{
      machine: 'a10-hetegen',
      strategy: 'hetegen',
      balance: 'measured',
      prefetchDepth: 2,
      residents: 'tensors',
    },
    ...{ draft: 'none', prompts: 1, promptTokens: 512, maxNewTokens: 64 },
  },
  axes: {
    target: ['opt-6.7b', 'opt-13b', 'opt-30b'],
    system: [
      { label: 'HeteGen', settings: {} },
      { label: 'without hybrid computation', settings: { balance: 'given', hostShare: 0 } },
      { label: 'without asynchronous parameter manager', settings: { streaming: 'on-demand' } },
      { label: 'without measured alpha', settings: { balance: 'printed' } },
      { label: 'without module scheduler', settings: { residents: 'layers', pinnedLayers: 0 } },
      { label: 'FlexGen', settings: flexgen },
      {
        label: 'FlexGen, nothing on the device',
        settings: { ...flexgen, pinnedLayers: 0 },
      },
    ],
  },
  baseline: { system: 'HeteGen' },
  quick: { settings: { maxNewTokens: 8 }, axes: { target: ['opt-13b'] } },
});
