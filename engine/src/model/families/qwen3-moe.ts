/** Qwen3-MoE: Qwen3's attention, and in most layers many small experts. Source: `Qwen3MoeConfig` in transformers 5.18. */

import { createLayers } from '../spec.js';
import {
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  expertTensors,
  parseDecoder,
} from './decoder.js';
import { expertFields, parseNarrowExperts, parseSparseLayers, sparseSizeFields } from './experts.js';
import type { Family } from './family.js';
import { parseQwenAttention, parseQwenSameWindow, qwenDefaults } from './qwen2.js';

export const qwen3Moe: Family = {
  modelType: 'qwen3_moe',
  className: 'Qwen3MoeForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, {
      ...qwenDefaults,
      hiddenSize: 2048,
      numLayers: 24,
      numKvHeads: 4,
      headDim: null,
      ffnSize: 6144,
    });
    const { attention, norms, ffn } = decoderLayer(decoder, {
      ...parseQwenAttention(config, decoder.norm),
      window: parseQwenSameWindow(config, decoder.numLayers),
    });
    const experts = parseNarrowExperts(config, { numExperts: 128, expertsPerToken: 8, width: 768 });
    const isSparse = parseSparseLayers(config, decoder.numLayers);
    const layers = createLayers(decoder.numLayers, (layer) => ({
      attention,
      norms,
      ffn: isSparse(layer) ? { ...ffn, ...experts } : ffn,
    }));
    return createSpec('qwen3_moe', decoder, layers, { ...decoderTensors, ...expertTensors });
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...sparseSizeFields(spec, original, expertFields),
  }),
};
