/** Mistral: a dense decoder whose layers may all attend to a window. Source: `MistralConfig` in transformers 5.24. */

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
import { parseSameWindow } from './window.js';

export const mistral: Family = {
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  parse(config) {
    refuseBiases(config);
    const decoder = parseDecoder(config, {
      ...llamaDefaults,
      numKvHeads: 8,
      ffnSize: 14_336,
      maxPositions: 131_072,
      rmsNormEps: 1e-6,
      rope: 1e4,
    });
    const layer = decoderLayer(decoder, { window: parseSameWindow(config, 4096, decoder.numLayers) });
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('mistral', decoder, layers, decoderTensors);
  },
  sizeFields: decoderSizeFields,
};
