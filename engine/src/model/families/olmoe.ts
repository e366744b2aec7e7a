/**
 * OLMoE: many small experts, whose weights are used as the router's softmax has them, and norms over all heads of q and
 * of k together. Source: `OlmoeConfig` and `modeling_olmoe.py` in transformers 5.18.
 */

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
import { expertFields, expertSizeFields, parseExpertCounts, parseTopKRouter } from './experts.js';
import type { Family } from './family.js';
import { refuseMixedLayers } from './window.js';

export const olmoe: Family = {
  modelType: 'olmoe',
  className: 'OlmoeForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, {
      vocabSize: 50_304,
      hiddenSize: 2048,
      numLayers: 16,
      numHeads: 16,
      numKvHeads: null,
      headDim: null,
      ffnSize: 2048,
      maxPositions: 4096,
      rmsNormEps: 1e-5,
      rope: 1e4,
      eosTokenIds: [50_279],
    });
    refuseMixedLayers(config, null, decoder.numLayers);
    const hasBiases = config.flag('attention_bias');
    const { attention, norms, ffn } = decoderLayer(decoder, {
      window: null,
      biases: attentionBiases(hasBiases),
      qkNorm: { over: 'projection', norm: decoder.norm },
      ...(config.isThere('clip_qkv') && { clip: config.real('clip_qkv', 1e-6, 1e6) }),
    });
    const counts = parseExpertCounts(config, expertFields, { numExperts: 64, expertsPerToken: 8 });
    const layer = { attention, norms, ffn: { ...ffn, ...counts, router: parseTopKRouter(config) } };
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('olmoe', decoder, layers, { ...decoderTensors, ...expertTensors });
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...expertSizeFields(spec, original, expertFields),
  }),
};
