/** Llama: a dense decoder, with biases where asked for. Source: `LlamaConfig` in transformers 5.24. */

import { createLayers } from '../spec.js';
import {
  attentionBiases,
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  llamaDefaults,
  parseDecoder,
} from './decoder.js';
import type { Family } from './family.js';
import { refuseMixedLayers } from './window.js';

export const llama: Family = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, {
      ...llamaDefaults,
      numKvHeads: null,
      ffnSize: 11_008,
      maxPositions: 2048,
      rmsNormEps: 1e-6,
      rope: 1e4,
    });
    refuseMixedLayers(config, null, decoder.numLayers);
    const biases = attentionBiases(config.flag('attention_bias'));
    const { ffn, ...rest } = decoderLayer(decoder, { window: null, biases });
    const layer = { ...rest, ffn: { ...ffn, biases: config.flag('mlp_bias') } };
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('llama', decoder, layers, decoderTensors);
  },
  sizeFields: decoderSizeFields,
};
