/**
 * Qwen1.5-MoE and Qwen2-MoE: Qwen2's attention, and in most layers many small experts beside one that every token passes
 * through. Source: `Qwen2MoeConfig` and `modeling_qwen2_moe.py` in transformers 5.18.
 */

import type { ConfigValues } from '../config-values.js';
import { createLayers } from '../spec.js';
import {
  attentionBiases,
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  expertTensors,
  parseDecoder,
} from './decoder.js';
import { expertFields, parseNarrowExperts, parseSparseLayers, sparseSizeFields } from './experts.js';
import type { Family } from './family.js';
import { parseWindowSize, qwenDefaults } from './qwen2.js';
import { parseLayerWindows } from './window.js';

export const qwen2Moe: Family = {
  modelType: 'qwen2_moe',
  className: 'Qwen2MoeForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, {
      ...qwenDefaults,
      hiddenSize: 2048,
      numLayers: 24,
      numHeads: 16,
      numKvHeads: 16,
      headDim: null,
      ffnSize: 5632,
    });
    const windows = parseWindows(config, decoder.numLayers);
    const hasBiases = config.get('qkv_bias') === undefined || config.flag('qkv_bias');
    const biases = attentionBiases(hasBiases, false);
    const experts = {
      ...parseNarrowExperts(config, { numExperts: 60, expertsPerToken: 4, width: 1408 }),
      sharedWidth: config.count('shared_expert_intermediate_size', 2 ** 20, 5632),
    };
    const isSparse = parseSparseLayers(config, decoder.numLayers);
    const layers = createLayers(decoder.numLayers, (layer) => {
      const { ffn, ...rest } = decoderLayer(decoder, { window: windows[layer], biases });
      return { ...rest, ffn: isSparse(layer) ? { ...ffn, ...experts } : ffn };
    });
    return createSpec('qwen2_moe', decoder, layers, { ...decoderTensors, ...expertTensors });
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...sparseSizeFields(spec, original, expertFields),
  }),
};

/** With `use_sliding_window`, every second layer has one, up to `max_window_layers`. */
function parseWindows(config: ConfigValues, numLayers: number): (number | null)[] {
  const window = parseWindowSize(config);
  const last = config.count('max_window_layers', 2 ** 12, 28, 0);
  return parseLayerWindows(config, numLayers, window, (layer) =>
    window !== null && layer % 2 === 0 && layer < last ? 'sliding_attention' : 'full_attention',
  );
}
