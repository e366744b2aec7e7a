/** Qwen3-MoE: Qwen3's attention, and in most layers many small experts. Source: `Qwen3MoeConfig` in transformers 5.18. */

import type { ConfigValues } from '../config-values.js';
import { createLayers, type FfnSpec } from '../spec.js';
import {
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  expertTensors,
  parseDecoder,
} from './decoder.js';
import {
  type ExpertFields,
  parseExpertCounts,
  parseSparseLayers,
  parseTopKRouter,
  sparseSizeFields,
} from './experts.js';
import type { Family } from './family.js';
import { parseQwenAttention, parseQwenSameWindow, qwenDefaults } from './qwen2.js';

const expertFields: ExpertFields = { field: 'num_experts', alias: 'num_local_experts' };

export const qwen3Moe: Family = {
  modelType: 'qwen3_moe',
  className: 'Qwen3MoeForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, {
      ...qwenDefaults,
      ...{ hiddenSize: 2048, numLayers: 24, numKvHeads: 4, headDim: null, ffnSize: 6144 },
    });
    const { attention, norms, ffn } = decoderLayer(decoder, {
      ...parseQwenAttention(config, decoder.norm),
      window: parseQwenSameWindow(config),
    });
    const experts = parseExperts(config);
    const isSparse = parseSparseLayers(config, decoder.numLayers);
    const layers = createLayers(decoder.numLayers, (layer) => ({
      ...{ attention, norms },
      ffn: isSparse(layer) ? { ...ffn, ...experts } : ffn,
    }));
    return createSpec('qwen3_moe', decoder, layers, { ...decoderTensors, ...expertTensors });
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...sparseSizeFields(spec, original, expertFields),
  }),
};

function parseExperts(
  config: ConfigValues,
): Pick<FfnSpec, 'numExperts' | 'expertsPerToken' | 'width' | 'router'> {
  return {
    ...parseExpertCounts(config, expertFields, { numExperts: 128, expertsPerToken: 8 }),
    width: config.count('moe_intermediate_size', 2 ** 20, 768),
    router: parseTopKRouter(config),
  };
}
