/** Llama: a dense decoder. Source: `LlamaConfig` in transformers 5.24. */

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
import type { Family } from './family.js';
import { refuseMixedLayers } from './window.js';

export const llama: Family = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  parse(config) {
    refuseBiases(config);
    const decoder = parseDecoder(config, {
      ...llamaDefaults,
      ...{ numKvHeads: null, ffnSize: 11_008, maxPositions: 2048, rmsNormEps: 1e-6, rope: 1e4 },
    });
    refuseMixedLayers(config, null);
    const layer = decoderLayer(decoder, { window: null });
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('llama', decoder, layers, decoderTensors);
  },
  sizeFields: decoderSizeFields,
};
