/** Qwen3 (dense): norms of each head's q and k. Source: `Qwen3Config` in transformers 5.24. */

import { createLayers } from '../spec.js';
import { createSpec, decoderLayer, decoderSizeFields, decoderTensors, parseDecoder } from './decoder.js';
import type { Family } from './family.js';
import { parseQwenAttention, parseQwenWindows, qwenDefaults } from './qwen2.js';

export const qwen3: Family = {
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, { ...qwenDefaults, headDim: 128 });
    const windows = parseQwenWindows(config, decoder.numLayers);
    const attention = parseQwenAttention(config, decoder.norm);
    const layers = createLayers(decoder.numLayers, (layer) =>
      decoderLayer(decoder, { ...attention, window: windows[layer] }),
    );
    return createSpec('qwen3', decoder, layers, decoderTensors);
  },
  sizeFields: decoderSizeFields,
};
