/** SpecOffload, FlexGen, serial speculation and the planner's own picks, measured where a small run has a large run's ratios. */

import { defineExperiment } from '../../definitions/definition.js';

/** What the released code does and the tunnel imitates; 80 of 512 prompts at once there, 3 of 16 here. */
export const asPublished = {
  batches: 2,
  projections: 'host',
  prefillOrder: 'batch-major',
  prefillBatch: 3,
  pinnedLayers: 0,
  draftPlacement: 'after-prefill',
} as const;

export const windTunnel = defineExperiment({
  name: 'wind-tunnel',
  question:
    'Does SpecOffload beat FlexGen, serial speculation and the planner’s own picks, where everything takes as long as on the paper’s machine?',
  kind: 'measured',
  settings: { machine: 'tunnel:env1' },
  axes: {
    system: [
      // The scripts run FlexGen with 3 blocks of 64 sequences where SpecOffload has 2 of 256: here 6 of 16.
      { label: 'FlexGen', settings: { strategy: 'flexgen', decodeBatch: 6, microBatch: 2 } },
      { label: 'FlexGen, same batch', settings: { strategy: 'flexgen' } },
      { label: 'FlexGen, its own best draft', settings: { strategy: 'flexgen', planned: 'with draft' } },
      { label: 'no speculation', settings: { strategy: 'none' } },
      // As the paper's ablation has it: two batches, one after the other.
      { label: 'serial, two batches', settings: { strategy: 'serial', ...asPublished } },
      { label: 'SpecOffload', settings: { strategy: 'specoffload', ...asPublished } },
      // What the planner picked in the tunnel: strategy and policy are in its file, and in every record.
      { label: 'planned, a draft allowed', settings: { planned: 'with draft' } },
      { label: 'planned, no draft', settings: { planned: 'without draft' } },
      // 0.78 of the bytes, every bit and so every token the same; of the other system likewise, planned for it.
      {
        label: 'planned, a draft allowed, weights packed',
        settings: { planned: 'with draft', targetFormat: 'bf16_packed' },
      },
      {
        label: 'FlexGen, its own best draft, weights packed',
        settings: { strategy: 'flexgen', planned: 'with draft', targetFormat: 'bf16_packed' },
      },
    ],
  },
  // What is paced takes the same again within a few percent.
  repeats: 3,
  baseline: { system: 'FlexGen' },
  quick: {
    axes: {
      system: [
        { label: 'FlexGen', settings: { strategy: 'flexgen', decodeBatch: 2, microBatch: 1 } },
        { label: 'serial', settings: { strategy: 'serial' } },
        { label: 'SpecOffload', settings: { strategy: 'specoffload' } },
      ],
    },
    // Explicit caps: nothing about this machine has to be known.
    settings: {
      ...{
        machine: 'local',
        target: 'pair:100MB',
        draft: 'pair',
        workload: 'dialogue',
        prompts: 4,
        maxNewTokens: 8,
      },
      ...{ deviceMemory: '128MB', hostMemory: '256MB', linkCap: '150MB/s', candidates: 4 },
    },
    repeats: 3,
  },
});
