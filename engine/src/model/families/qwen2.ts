/** Qwen2 and Qwen2.5: biases on q, k and v; a window in the upper layers, where one is used. Source: `Qwen2Config` in transformers 5.24. */

import type { ConfigValues } from '../config-values.js';
import { type AttentionSpec, createLayers, type NormSpec } from '../spec.js';
import {
  attentionBiases,
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  parseDecoder,
} from './decoder.js';
import type { Family } from './family.js';
import { parseLayerWindows, refuseMixedLayers } from './window.js';

export const qwen2: Family = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  parse(config) {
    const decoder = parseDecoder(config, { ...qwenDefaults, headDim: null });
    const windows = parseQwenWindows(config, decoder.numLayers);
    const biases = attentionBiases(true, false);
    const layers = createLayers(decoder.numLayers, (layer) =>
      decoderLayer(decoder, { window: windows[layer], biases }),
    );
    return createSpec('qwen2', decoder, layers, decoderTensors);
  },
  sizeFields: decoderSizeFields,
};

/** What Qwen2 and Qwen3 mean by a field that is missing. */
export const qwenDefaults = {
  vocabSize: 151_936,
  hiddenSize: 4096,
  numLayers: 32,
  numHeads: 32,
  numKvHeads: 32,
  ffnSize: 22_016,
  maxPositions: 32_768,
  rmsNormEps: 1e-6,
  rope: 1e4,
  eosTokenIds: [],
};

/** What Qwen3 and Qwen3-MoE have in attention: norms of each head's q and k, and biases where asked for. */
export function parseQwenAttention(
  config: ConfigValues,
  norm: NormSpec,
): Pick<AttentionSpec, 'biases' | 'qkNorm'> {
  return {
    biases: attentionBiases(config.flag('attention_bias')),
    qkNorm: { over: 'head', norm },
  };
}

/** Qwen3-MoE's window: the same in all layers, and only with `use_sliding_window`. */
export function parseQwenSameWindow(config: ConfigValues, numLayers: number): number | null {
  const window = parseWindowSize(config);
  refuseMixedLayers(config, window, numLayers);
  return window;
}

/** `sliding_window`, which counts only with `use_sliding_window`. */
export function parseWindowSize(config: ConfigValues): number | null {
  const hasWindow = config.flag('use_sliding_window') && config.get('sliding_window') !== null;
  return hasWindow ? config.count('sliding_window', 2 ** 28, 4096) : null;
}

/** `sliding_window` counts only with `use_sliding_window`, and then from layer `max_window_layers` on. */
export function parseQwenWindows(config: ConfigValues, numLayers: number): (number | null)[] {
  const window = parseWindowSize(config);
  const first = config.count('max_window_layers', 2 ** 12, 28, 0);
  return parseLayerWindows(config, numLayers, window, (layer) =>
    window !== null && layer >= first ? 'sliding_attention' : 'full_attention',
  );
}
