/**
 * gpt-oss: attention with sinks, a window in every second layer, biases everywhere, and experts with a clamped gate that
 * are stored in stacks, gate and up by turns, and published in MXFP4. Source: `GptOssConfig` and `modeling_gpt_oss.py` in transformers 5.18.
 */

import type { ConfigValues } from '../config-values.js';
import { clampedSwiglu, createLayers, type RopeSpec, type TensorPlace, type TensorPlaces } from '../spec.js';
import {
  attentionBiases,
  createSpec,
  decoderLayer,
  decoderSizeFields,
  decoderTensors,
  parseDecoder,
  quantisationOf,
} from './decoder.js';
import { type ExpertFields, expertSizeFields, parseExpertCounts } from './experts.js';
import type { Family } from './family.js';
import { parseLayerWindows } from './window.js';

const expertFields: ExpertFields = { field: 'num_local_experts', alias: 'num_experts' };

/** What a configuration without RoPE parameters means. */
const missingRope: RopeSpec = {
  theta: 150_000,
  scaling: {
    type: 'yarn',
    factor: 32,
    betaFast: 32,
    betaSlow: 1,
    originalMaxPositions: 4096,
    truncate: false,
    attentionFactor: 0.1 * Math.log(32) + 1,
  },
};

export const gptOss: Family = {
  modelType: 'gpt_oss',
  className: 'GptOssForCausalLM',
  parse(config) {
    refuseOtherLimit(config);
    const missing = {
      vocabSize: 201_088,
      hiddenSize: 2880,
      numLayers: 36,
      numHeads: 64,
      numKvHeads: 8,
      headDim: 64,
      ffnSize: 2880,
      maxPositions: 131_072,
      rmsNormEps: 1e-5,
      rope: missingRope,
      eosTokenIds: [],
    };
    const decoder = parseDecoder(config, missing);
    const expertCodec = quantisationOf(config) === 'mxfp4' ? 'mxfp4' : undefined;
    const hasBiases = !config.isThere('attention_bias') || config.flag('attention_bias');
    const counts = parseExpertCounts(config, expertFields, { numExperts: 128, expertsPerToken: 4 });
    const windows = parseWindows(config, decoder.numLayers);
    const layers = createLayers(decoder.numLayers, (layer) => {
      const { attention, norms, ffn } = decoderLayer(decoder, {
        window: windows[layer],
        sinks: true,
        biases: attentionBiases(hasBiases),
      });
      const router = { weights: 'renormalised', biases: true } as const;
      return {
        attention,
        norms,
        ffn: { ...ffn, ...counts, activation: 'clamped-swiglu', biases: true, router },
      };
    });
    return createSpec('gpt_oss', decoder, layers, tensorsOf(decoder.ffnSize, expertCodec));
  },
  sizeFields: (spec, original) => ({
    ...decoderSizeFields(spec, original),
    ...expertSizeFields(spec, original, expertFields),
  }),
};

/** Every second layer sees everything, unless somebody says otherwise. */
function parseWindows(config: ConfigValues, numLayers: number): (number | null)[] {
  const window = config.get('sliding_window') === null ? null : config.count('sliding_window', 2 ** 28, 128);
  return parseLayerWindows(config, numLayers, window, (layer) =>
    layer % 2 === 1 ? 'full_attention' : 'sliding_attention',
  );
}

/** transformers reads it nowhere and clamps at its own. */
function refuseOtherLimit(config: ConfigValues): void {
  const { limit } = clampedSwiglu;
  if (config.isThere('swiglu_limit') && config.get('swiglu_limit') !== limit)
    throw config.unsupported(
      'swiglu_limit',
      config.get('swiglu_limit'),
      `${limit}`,
      'use a checkpoint with it',
    );
}

/** @param codec of the experts' matrices, where it is another than that of the rest */
function tensorsOf(width: number, codec: TensorPlace['codec']): TensorPlaces {
  const { gate, up, down, ...others } = decoderTensors;
  const mlp = 'model.layers.{layer}.mlp';
  const stack = (name: string, isTransposed: boolean, first?: number): TensorPlace => ({
    name: `${mlp}.experts.${name}`,
    ...(isTransposed && codec && { codec }),
    slice: {
      isStackOfExperts: true,
      isTransposed,
      ...(first !== undefined && { rows: { first, step: 2, count: width } }),
    },
  });
  return {
    ...others,
    sinks: { name: 'model.layers.{layer}.self_attn.sinks' },
    router: { name: `${mlp}.router.weight` },
    routerBias: { name: `${mlp}.router.bias` },
    gate: stack('gate_up_proj', true, 0),
    up: stack('gate_up_proj', true, 1),
    down: stack('down_proj', true),
    gateBias: stack('gate_up_proj_bias', false, 0),
    upBias: stack('gate_up_proj_bias', false, 1),
    downBias: stack('down_proj_bias', false),
  };
}
