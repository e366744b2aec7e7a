/**
 * Gemma 3's language model: norms before and after attention and FFN whose weights are stored less one, scaled embeddings,
 * a window and a RoPE base of its own in most layers. Source: `Gemma3TextConfig` and `modeling_gemma3.py` in transformers
 * 5.18.
 */

import { isDeepStrictEqual } from 'node:util';
import { isRecord, quote } from '@specoffload/input';
import { parseRopeParameters, parseTheta, refusePartialRotation } from '../config-rope.js';
import type { ConfigValues } from '../config-values.js';
import { createLayers, type ModelSpec, type RopeSpec, type TensorPlaces } from '../spec.js';
import {
  attentionBiases,
  createSpec,
  type Decoder,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  parseDecoder,
} from './decoder.js';
import type { Family } from './family.js';
import { type LayerType, parseLayerWindows } from './window.js';

const layer = 'model.layers.{layer}';

const tensors: TensorPlaces = {
  ...decoderTensors,
  afterAttentionNorm: { name: `${layer}.post_attention_layernorm.weight` },
  postNorm: { name: `${layer}.pre_feedforward_layernorm.weight` },
  afterFfnNorm: { name: `${layer}.post_feedforward_layernorm.weight` },
};

export const gemma3Text: Family = {
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  parse: (config) => parseText(config, 'gemma3_text', tensors),
  sizeFields: decoderSizeFields,
};

/** Images beside text: of a checkpoint that reads both, what reads text. */
export const gemma3: Family = {
  modelType: 'gemma3',
  className: 'Gemma3ForConditionalGeneration',
  parse(config) {
    const text = config.object('text_config');
    if (text === null) throw config.invalid('text_config', null, 'the fields of a gemma3_text model');
    const prefixed = Object.entries(tensors).map(([role, place]) => [
      role,
      { name: `language_model.${place.name}` },
    ]);
    return {
      ...parseText(text, 'gemma3', Object.fromEntries(prefixed)),
      foreignTensors: ['vision_tower.', 'multi_modal_projector.'],
    };
  },
  sizeFields(spec, original) {
    const text = isRecord(original.text_config) ? original.text_config : {};
    return { text_config: { ...text, ...decoderSizeFields(spec, text) } };
  },
};

function parseText(config: ConfigValues, architecture: string, places: TensorPlaces): ModelSpec {
  refuseOthers(config);
  const parsed = parseDecoder(
    config.without('rope_parameters', 'rope_scaling'), // of each kind of layer: see below
    {
      vocabSize: 262_208,
      hiddenSize: 2304,
      numLayers: 26,
      numHeads: 8,
      numKvHeads: 4,
      headDim: 256,
      ffnSize: 9216,
      maxPositions: 131_072,
      rmsNormEps: 1e-6,
      rope: 1e6,
      eosTokenIds: [1],
      tied: true,
    },
    { field: 'hidden_activation', names: ['gelu_pytorch_tanh'] },
  );
  const norm = { ...parsed.norm, offset: 1 } as const;
  const decoder: Decoder = { ...parsed, norm };
  const hasBiases = config.flag('attention_bias');
  const scale = config.real('query_pre_attn_scalar', 1e-6, 1e6, 256) ** -0.5;
  const windows = parseWindows(config, decoder.numLayers);
  const ropes = parseRopes(config, decoder);
  const layers = createLayers(decoder.numLayers, (index) => {
    const window = windows[index];
    const { attention, ffn } = decoderLayer(decoder, {
      window,
      scale,
      rope: window === null ? ropes.full_attention : ropes.sliding_attention,
      biases: attentionBiases(hasBiases),
      qkNorm: { over: 'head', norm },
    });
    return {
      attention,
      norms: { beforeAttention: norm, afterAttention: norm, beforeFfn: norm, afterFfn: norm },
      ffn: { ...ffn, activation: 'gelu-tanh' },
    };
  });
  const spec = createSpec(architecture, decoder, layers, places);
  return { ...spec, embedding: { ...spec.embedding, scale: Math.fround(Math.sqrt(decoder.hiddenSize)) } };
}

function refuseOthers(config: ConfigValues): void {
  for (const field of ['final_logit_softcapping', 'attn_logit_softcapping'])
    if (config.isThere(field))
      throw config.unsupported(
        field,
        config.get(field),
        'null',
        'use a checkpoint of Gemma 3, which has none',
      );
  if (config.flag('use_bidirectional_attention'))
    throw config.unsupported(
      'use_bidirectional_attention',
      true,
      'false',
      'use a checkpoint that writes text',
    );
}

/** Every sixth layer sees everything, unless somebody says otherwise. */
function parseWindows(config: ConfigValues, numLayers: number): (number | null)[] {
  const window = config.get('sliding_window') === null ? null : config.count('sliding_window', 2 ** 28, 4096);
  const pattern = config.count('sliding_window_pattern', 2 ** 12, 6);
  return parseLayerWindows(config, numLayers, window, (index) =>
    (index + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention',
  );
}

/**
 * By type of layer: nested in `rope_parameters`, or as `rope_theta`, `rope_scaling` and `rope_local_base_freq`. Fields of
 * `rope_scaling` go over nested ones of full attention, and a nested base over an outer one (`convert_rope_params_to_dict`).
 */
function parseRopes(config: ConfigValues, sizes: Decoder): Readonly<Record<LayerType, RopeSpec>> {
  refusePartialRotation(config);
  const nested = config.object('rope_parameters');
  const scaling = config.object('rope_scaling');
  const read = (type: LayerType, thetaField: string, missingTheta: number): RopeSpec => {
    const own = nested?.object(type) ?? null;
    const parameters = withScaling(config, own, type === 'full_attention' ? scaling : null);
    const outer = config.isThere(thetaField) ? parseTheta(config, thetaField) : null;
    const theta = outer ?? missingTheta;
    if (!parameters) return { theta, scaling: null };
    const rope = parseRopeParameters(config, parameters, `rope_parameters.${type}`, theta, sizes);
    if (rope.theta !== theta && outer !== null)
      config.warn(
        `${thetaField} ${outer} contradicts the ${rope.theta} of rope_parameters.${type}`,
        'the latter holds',
      );
    return rope;
  };
  return {
    full_attention: read('full_attention', 'rope_theta', 1e6),
    sliding_attention: read('sliding_attention', 'rope_local_base_freq', 1e4),
  };
}

function withScaling(
  config: ConfigValues,
  own: ConfigValues | null,
  scaling: ConfigValues | null,
): ConfigValues | null {
  if (!own || !scaling) return own ?? scaling;
  for (const [field, value] of Object.entries(scaling.json))
    if (own.isThere(field) && !isDeepStrictEqual(own.get(field), value))
      config.warn(
        `rope_scaling.${field} ${quote(value)} contradicts the ${quote(own.get(field))} of rope_parameters.full_attention`,
        'the former holds',
      );
  return own.under(scaling);
}
