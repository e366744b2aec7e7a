/** Mixtral: Mistral's attention, and experts chosen per token. Source: `MixtralConfig` in transformers 5.24. */

import type { ConfigValues } from '../config-values.js';
import { createLayers, type FfnSpec } from '../spec.js';
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

const experts = 'model.layers.{layer}.block_sparse_moe.experts.{expert}';

export const mixtral: Family = {
  modelType: 'mixtral',
  className: 'MixtralForCausalLM',
  parse(config) {
    refuseBiases(config);
    const decoder = parseDecoder(config, {
      ...llamaDefaults,
      ...{ numKvHeads: 8, ffnSize: 14_336, maxPositions: 131_072, rmsNormEps: 1e-5, ropeTheta: 1e6 },
    });
    const window = parseSameWindow(config, null);
    const { attention, norms, ffn } = decoderLayer(decoder, { window });
    const layer = { attention, norms, ffn: { ...ffn, ...parseExperts(config) } };
    const layers = createLayers(decoder.numLayers, () => layer);
    return createSpec('mixtral', decoder, layers, {
      ...decoderTensors,
      router: { name: 'model.layers.{layer}.block_sparse_moe.gate.weight' },
      gate: { name: `${experts}.w1.weight` },
      up: { name: `${experts}.w3.weight` },
      down: { name: `${experts}.w2.weight` },
    });
  },
  sizeFields(spec, original) {
    const { ffn } = spec.layers[0];
    return {
      ...decoderSizeFields(spec, original),
      num_local_experts: ffn.numExperts,
      ...(Object.hasOwn(original, 'num_experts') && { num_experts: ffn.numExperts }),
      num_experts_per_tok: ffn.expertsPerToken,
    };
  },
};

/** `num_experts` is another name of `num_local_experts`, and is set last (`attribute_map` in transformers). */
function parseExperts(config: ConfigValues): Pick<FfnSpec, 'numExperts' | 'expertsPerToken' | 'router'> {
  const [name, alias] = ['num_local_experts', 'num_experts'];
  const named = config.count(name, 2 ** 12, 8);
  const numExperts = config.isThere(alias) ? config.count(alias, 2 ** 12) : named;
  if (numExperts !== named && config.isThere(name))
    config.warn(`${name} ${named} contradicts ${alias} ${numExperts}`, `${alias} holds`);
  const expertsPerToken = config.count('num_experts_per_tok', numExperts, 2);
  return { numExperts, expertsPerToken, router: { weights: 'renormalised', biases: false } };
}
