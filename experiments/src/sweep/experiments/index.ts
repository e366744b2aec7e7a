/** The experiments that ship with the lab, by name. */

import type { ExperimentDefinition } from '../../definitions/definition.js';
import { createAblation } from './ablation.js';
import { acceptance } from './acceptance.js';
import { apex } from './apex.js';
import { batch } from './batch.js';
import { createCamel } from './camel.js';
import { candidates } from './candidates.js';
import { draftSize } from './draft-size.js';
import { energy } from './energy.js';
import { hetegen } from './hetegen.js';
import { inMemory } from './in-memory.js';
import { memory } from './memory.js';
import { createOverall } from './overall.js';
import { placement } from './placement.js';
import { planned } from './planned.js';
import { prediction } from './prediction.js';
import { windTunnel } from './wind-tunnel.js';
import { windTunnelOptions } from './wind-tunnel-options.js';

/** Some read what the paper published, so they are made when they are asked for. */
export const shippedExperiments: Readonly<Record<string, () => Promise<ExperimentDefinition>>> = {
  overall: createOverall,
  candidates: async () => candidates,
  batch: async () => batch,
  memory: async () => memory,
  planned: async () => planned,
  placement: async () => placement,
  acceptance: async () => acceptance,
  ablation: createAblation,
  'draft-size': async () => draftSize,
  prediction: async () => prediction,
  'wind-tunnel': async () => windTunnel,
  'wind-tunnel-options': async () => windTunnelOptions,
  energy: async () => energy,
  camel: () => createCamel('camel', 'llama-3.2-1b'),
  'camel-qwen': () => createCamel('camel-qwen', 'qwen2.5-3b'),
  hetegen: async () => hetegen,
  apex: async () => apex,
  'in-memory': async () => inMemory,
};
