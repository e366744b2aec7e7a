/**
 * What decoders in Llama's manner have in common: norms before attention and before a gated FFN, rotary positions, and
 * the names of their fields and tensors.
 */

import type { JsonRecord } from '@specoffload/input';
import { parseEosTokenIds } from '../config-eos.js';
import { parseQuantisation } from '../config-quantised.js';
import { parseRope } from '../config-rope.js';
import type { ConfigValues } from '../config-values.js';
import type { AttentionSpec, LayerSpec, ModelSpec, NormSpec, RopeSpec, TensorPlaces } from '../spec.js';

/** What a configuration class means by a field that is missing. */
export interface DecoderDefaults {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** null: as many as query heads, which a null in the file means to all of them. */
  readonly numKvHeads: number | null;
  /** null: hidden / heads, which a null in the file means too. */
  readonly headDim: number | null;
  readonly ffnSize: number;
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  /** A base, or all of it. */
  readonly rope: number | RopeSpec;
  readonly eosTokenIds: readonly number[];
  /** @default false */
  readonly tied?: boolean;
}

/** What Llama, Mistral and Mixtral mean alike by a field that is missing. */
export const llamaDefaults = {
  vocabSize: 32_000,
  hiddenSize: 4096,
  numLayers: 32,
  numHeads: 32,
  headDim: null,
  eosTokenIds: [2],
};

export interface Decoder {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly ffnSize: number;
  readonly rope: RopeSpec;
  readonly norm: NormSpec;
  readonly tied: boolean;
  readonly maxPositions: number;
  readonly eosTokenIds: readonly number[];
}

/** The field that names the activation of the FFN, and what it may be. */
export interface ActivationField {
  readonly field: string;
  readonly names: readonly string[];
}

/** One function, two names. */
const silu: ActivationField = { field: 'hidden_act', names: ['silu', 'swish'] };

export function parseDecoder(config: ConfigValues, missing: DecoderDefaults, activation = silu): Decoder {
  refuseOtherActivation(config, activation);
  parseQuantisation(config); // refused at the door
  const hiddenSize = config.count('hidden_size', 2 ** 17, missing.hiddenSize);
  const numHeads = config.count('num_attention_heads', 2 ** 12, missing.numHeads);
  const numKvHeads = parseKvHeads(config, numHeads, missing.numKvHeads);
  const headDim = parseHeadDim(config, hiddenSize, numHeads, missing.headDim);
  const maxPositions = config.count('max_position_embeddings', 2 ** 28, missing.maxPositions);
  return {
    vocabSize: config.count('vocab_size', 2 ** 24, missing.vocabSize),
    hiddenSize,
    numLayers: config.count('num_hidden_layers', 2 ** 12, missing.numLayers),
    numHeads,
    numKvHeads,
    headDim,
    ffnSize: config.count('intermediate_size', 2 ** 20, missing.ffnSize),
    rope: parseRope(config, missing.rope, { maxPositions, headDim }),
    norm: { eps: config.real('rms_norm_eps', 1e-12, 0.1, missing.rmsNormEps), offset: 0 },
    tied: missing.tied && !config.isThere('tie_word_embeddings') ? true : config.flag('tie_word_embeddings'),
    maxPositions,
    eosTokenIds:
      config.get('eos_token_id') === undefined
        ? missing.eosTokenIds
        : (parseEosTokenIds(config.json, config.source) ?? []),
  };
}

/** Biases of queries, keys and values, and of the output. @param o as the others */
export function attentionBiases(qkv: boolean, o = qkv): AttentionSpec['biases'] {
  return { q: qkv, k: qkv, v: qkv, o };
}

/** A layer with a dense FFN; `changes` are of its attention. */
export function decoderLayer(
  { numHeads, numKvHeads, headDim, rope, norm, ffnSize }: Decoder,
  changes: Pick<AttentionSpec, 'window'> & Partial<AttentionSpec>,
): LayerSpec {
  return {
    attention: {
      numHeads,
      numKvHeads,
      headDim,
      rope,
      scale: headDim ** -0.5,
      biases: attentionBiases(false),
      qkNorm: null,
      sinks: false,
      ...changes,
    },
    norms: { beforeAttention: norm, afterAttention: null, beforeFfn: norm, afterFfn: null },
    ffn: {
      numExperts: 1,
      expertsPerToken: 1,
      width: ffnSize,
      activation: 'silu',
      biases: false,
      router: null,
      sharedWidth: null,
    },
  };
}

export function createSpec(
  architecture: string,
  { vocabSize, hiddenSize, norm, tied, maxPositions, eosTokenIds }: Decoder,
  layers: readonly LayerSpec[],
  tensors: TensorPlaces,
): ModelSpec {
  return {
    architecture,
    vocabSize,
    hiddenSize,
    embedding: { scale: 1, tied },
    layers,
    finalNorm: norm,
    maxPositions,
    eosTokenIds,
    tensors,
  };
}

/** See `Family.sizeFields`. */
export function decoderSizeFields({ layers }: ModelSpec, original: JsonRecord): JsonRecord {
  const [first] = layers;
  const isMixed = layers.some(({ attention: { window } }) => window !== first.attention.window);
  const saysWhich = Array.isArray(original.layer_types) || original.use_sliding_window === true;
  const kindOf = ({ attention: { window } }: LayerSpec) =>
    window === null ? 'full_attention' : 'sliding_attention';
  return {
    num_hidden_layers: layers.length,
    intermediate_size: first.ffn.width,
    ...((isMixed || saysWhich) && { layer_types: layers.map(kindOf) }),
  };
}

const attention = 'model.layers.{layer}.self_attn';
const mlp = 'model.layers.{layer}.mlp';

/** Hugging Face's names; a role that a layer does not have is not looked up. */
export const decoderTensors: TensorPlaces = {
  embedding: { name: 'model.embed_tokens.weight' },
  finalNorm: { name: 'model.norm.weight' },
  head: { name: 'lm_head.weight' },
  inputNorm: { name: 'model.layers.{layer}.input_layernorm.weight' },
  q: { name: `${attention}.q_proj.weight` },
  k: { name: `${attention}.k_proj.weight` },
  v: { name: `${attention}.v_proj.weight` },
  o: { name: `${attention}.o_proj.weight` },
  qBias: { name: `${attention}.q_proj.bias` },
  kBias: { name: `${attention}.k_proj.bias` },
  vBias: { name: `${attention}.v_proj.bias` },
  oBias: { name: `${attention}.o_proj.bias` },
  qNorm: { name: `${attention}.q_norm.weight` },
  kNorm: { name: `${attention}.k_norm.weight` },
  postNorm: { name: 'model.layers.{layer}.post_attention_layernorm.weight' },
  gate: { name: `${mlp}.gate_proj.weight` },
  up: { name: `${mlp}.up_proj.weight` },
  down: { name: `${mlp}.down_proj.weight` },
  gateBias: { name: `${mlp}.gate_proj.bias` },
  upBias: { name: `${mlp}.up_proj.bias` },
  downBias: { name: `${mlp}.down_proj.bias` },
};

/** Experts as Qwen and OLMoE name them; a layer without experts has the names of a dense decoder. */
export const expertTensors: TensorPlaces = {
  router: { name: `${mlp}.gate.weight` },
  gate: { name: `${mlp}.experts.{expert}.gate_proj.weight`, dense: `${mlp}.gate_proj.weight` },
  up: { name: `${mlp}.experts.{expert}.up_proj.weight`, dense: `${mlp}.up_proj.weight` },
  down: { name: `${mlp}.experts.{expert}.down_proj.weight`, dense: `${mlp}.down_proj.weight` },
  sharedGate: { name: `${mlp}.shared_expert.gate_proj.weight` },
  sharedUp: { name: `${mlp}.shared_expert.up_proj.weight` },
  sharedDown: { name: `${mlp}.shared_expert.down_proj.weight` },
  sharedRouter: { name: `${mlp}.shared_expert_gate.weight` },
};

/** Refuses biases, which change the arithmetic, for a family whose parser does not read them. */
export function refuseBiases(config: ConfigValues): void {
  for (const field of ['attention_bias', 'mlp_bias'])
    if (config.flag(field))
      throw config.unsupported(field, config.get(field), 'false', 'use a checkpoint without it');
}

function refuseOtherActivation(config: ConfigValues, { field: name, names }: ActivationField): void {
  const activation = config.get(name) ?? names[0];
  if (!names.some((known) => known === activation))
    throw config.unsupported(name, activation, `"${names[0]}"`, 'use a checkpoint without it');
}

/** How the weights are quantised, where Hugging Face's field says so. */
export function quantisationOf(config: ConfigValues): unknown {
  return config.object('quantization_config')?.get('quant_method');
}

/** Missing it means what the class means by it; null means as many as query heads in all of them. */
function parseKvHeads(config: ConfigValues, numHeads: number, missing: number | null): number {
  const name = 'num_key_value_heads';
  const numKvHeads = config.get(name) === null ? numHeads : config.count(name, 2 ** 12, missing ?? numHeads);
  if (numHeads % numKvHeads === 0) return numKvHeads;
  const origin = config.get(name) === undefined ? `, which is what a missing one means` : '';
  throw config.invalid(name, numKvHeads, `a divisor of num_attention_heads (${numHeads})${origin}`);
}

function parseHeadDim(
  config: ConfigValues,
  hiddenSize: number,
  numHeads: number,
  missing: number | null,
): number {
  if (missing === null && !config.isThere('head_dim')) {
    const headDim = hiddenSize / numHeads;
    if (Number.isInteger(headDim) && headDim % 2 === 0) return headDim;
    throw config.invalid(
      'num_attention_heads',
      numHeads,
      `hidden_size (${hiddenSize}) over it to be an even integer`,
    );
  }
  const headDim = config.count('head_dim', 2 ** 12, missing ?? undefined);
  if (headDim % 2 !== 0)
    throw config.invalid('head_dim', headDim, 'an even number, since RoPE rotates pairs');
  return headDim;
}
