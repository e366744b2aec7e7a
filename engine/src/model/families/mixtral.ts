/** Mixtral: Mistral's attention, and experts chosen per token. Source: `MixtralConfig` in transformers 5.24. */

import { createLayers } from '../spec.js';
import {
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  llamaDefaults,
  parseDecoder,
  refuseBiases,
} from './decoder.js';
import { type ExpertFields, expertSizeFields, parseExpertCounts } from './experts.js';
import type { Family } from './family.js';
import { parseSameWindow } from './window.js';

const experts = 'model.layers.{layer}.block_sparse_moe.experts.{expert}';
const expertFields: ExpertFields = { field: 'num_local_experts', alias: 'num_experts' };

export const mixtral: Family = {
  modelType: 'mixtral',
  className: 'MixtralForCausalLM',
  parse(config) {
    refuseBiases(config);
    const decoder = parseDecoder(config, {
      ...llamaDefaults,
      numKvHeads: 8,
      ffnSize: 14_336,
      maxPositions: 131_072,
      rmsNormEps: 1e-5,
      rope: 1e6,
    });
    const window = parseSameWindow(config, null, decoder.numLayers);
    const { attention, norms, ffn } = decoderLayer(decoder, { window });
    const counts = parseExpertCounts(config, expertFields, { numExperts: 8, expertsPerToken: 2 });
    const router = { weights: 'renormalised', biases: false } as const;
    const layer = { attention, norms, ffn: { ...ffn, ...counts, router } };
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('mixtral', decoder, layers, {
      ...decoderTensors,
      router: { name: 'model.layers.{layer}.block_sparse_moe.gate.weight' },
      gate: { name: `${experts}.w1.weight` },
      up: { name: `${experts}.w3.weight` },
      down: { name: `${experts}.w2.weight` },
    });
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...expertSizeFields(spec, original, expertFields),
  }),
};
