/** Qwen3-MoE: Qwen3's attention, and in most layers many small experts. Source: `Qwen3MoeConfig` in transformers 5.18. */

import type { ConfigValues } from '../config-values.js';
import { createLayers, type FfnSpec, type LayerSpec } from '../spec.js';
import {
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  expertTensors,
  parseDecoder,
} from './decoder.js';
import { type ExpertFields, expertSizeFields, parseExpertCounts, parseTopKRouter } from './experts.js';
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
  sizeFields(spec, original) {
    const widthOf = (isChosen: (layer: LayerSpec) => boolean) => spec.layers.find(isChosen)?.ffn.width;
    const dense = widthOf(({ ffn }) => ffn.router === null);
    return {
      ...decoderSizeFields(spec, original),
      ...expertSizeFields(spec, original, expertFields),
      intermediate_size: dense ?? original.intermediate_size,
      mlp_only_layers: spec.layers.flatMap(({ ffn }, layer) => (ffn.router === null ? [layer] : [])),
      decoder_sparse_step: 1,
      moe_intermediate_size: widthOf(({ ffn }) => ffn.router !== null) ?? original.moe_intermediate_size,
    };
  },
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

/** Which layers have experts: every `decoder_sparse_step`-th, but for those of `mlp_only_layers`. */
function parseSparseLayers(config: ConfigValues, numLayers: number): (layer: number) => boolean {
  const step = config.count('decoder_sparse_step', 2 ** 12, 1);
  const dense = config.get('mlp_only_layers') ?? [];
  const isLayer = (value: unknown) =>
    Number.isInteger(value) && 0 <= Number(value) && Number(value) < numLayers;
  if (!Array.isArray(dense) || !dense.every(isLayer))
    throw config.invalid('mlp_only_layers', dense, `a list of layers from 0 to ${numLayers - 1}`);
  return (layer) => (layer + 1) % step === 0 && !dense.includes(layer);
}
