/** A GGUF file's metadata as the config.json that its families read, and the spec with the file's own places. */

import { basename } from 'node:path';
import { type JsonRecord, UserError } from '@specoffload/input';
import { parseModelSpec } from '../config.js';
import { warnOfCheckpoint } from '../config-values.js';
import { toTensorRef } from '../header-tensor.js';
import { createLayers, type LayerSpec, type ModelSpec, type NormSpec, type TensorPlaces } from '../spec.js';
import { readTensor } from '../stored.js';
import type { Gguf } from './file.js';
import { Metadata } from './metadata.js';
import {
  gemmaPlaces,
  ggufPlaces,
  gptOssPlaces,
  isOfOneExpert,
  withPairs,
  withTensorPerExpert,
} from './places.js';

/** What an architecture of llama.cpp is called elsewhere, and what its metadata leaves to its code. */
interface Architecture {
  fields(metadata: Metadata, prefix: string): JsonRecord;
  readonly places: TensorPlaces;
}

const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    fields: (metadata, prefix) =>
      (metadata.maybeNumber(`${prefix}.expert_count`) ?? 0) > 0
        ? { model_type: 'mixtral', ...expertFields(metadata, prefix, 'num_local_experts') }
        : { model_type: 'llama' },
    places: withPairs(ggufPlaces),
  },
  qwen2: { fields: () => ({ model_type: 'qwen2' }), places: ggufPlaces },
  qwen2moe: {
    fields: (metadata, prefix) => ({
      model_type: 'qwen2_moe',
      ...expertFields(metadata, prefix, 'num_experts'),
      ...qwen2MoeWidths(metadata, prefix),
      norm_topk_prob: false,
    }),
    places: ggufPlaces,
  },
  qwen3: { fields: () => ({ model_type: 'qwen3' }), places: ggufPlaces },
  qwen3moe: {
    fields: (metadata, prefix) => ({
      model_type: 'qwen3_moe',
      ...expertFields(metadata, prefix, 'num_experts'),
      moe_intermediate_size: metadata.number(`${prefix}.expert_feed_forward_length`),
      norm_topk_prob: true,
    }),
    places: ggufPlaces,
  },
  olmoe: {
    fields: (metadata, prefix) => ({
      model_type: 'olmoe',
      ...expertFields(metadata, prefix, 'num_experts'),
      norm_topk_prob: false,
      clip_qkv: metadata.maybeNumber(`${prefix}.attention.clamp_kqv`) || undefined, // 0: not at all
    }),
    places: ggufPlaces,
  },
  gemma3: {
    fields: (metadata, prefix) => ({
      model_type: 'gemma3_text',
      hidden_activation: 'gelu_pytorch_tanh',
      sliding_window: metadata.number(`${prefix}.attention.sliding_window`),
      sliding_window_pattern: 6,
      rope_local_base_freq: 1e4,
      query_pre_attn_scalar: gemmaQueryScalar(metadata, prefix),
    }),
    places: gemmaPlaces,
  },
  'gpt-oss': {
    fields: (metadata, prefix) => ({
      model_type: 'gpt_oss',
      ...expertFields(metadata, prefix, 'num_local_experts'),
      intermediate_size: metadata.number(`${prefix}.expert_feed_forward_length`),
      sliding_window: metadata.number(`${prefix}.attention.sliding_window`),
      attention_bias: true,
    }),
    places: gptOssPlaces,
  },
};

function expertFields(metadata: Metadata, prefix: string, name: string): JsonRecord {
  return {
    [name]: metadata.number(`${prefix}.expert_count`),
    num_experts_per_tok: metadata.number(`${prefix}.expert_used_count`),
  };
}

/** Files of before there were keys for both have the width of all experts that a token is sent to, as `llama_model` takes it. */
function qwen2MoeWidths(metadata: Metadata, prefix: string): JsonRecord {
  const all = () => metadata.number(`${prefix}.feed_forward_length`);
  const own = metadata.maybeNumber(`${prefix}.expert_feed_forward_length`);
  return {
    moe_intermediate_size: own ?? all() / metadata.number(`${prefix}.expert_used_count`),
    shared_expert_intermediate_size:
      metadata.maybeNumber(`${prefix}.expert_shared_feed_forward_length`) ?? all(),
  };
}

/** As `llama_model` has it: the largest Gemma 3 divides by what a head would have if heads shared the hidden size. */
function gemmaQueryScalar(metadata: Metadata, prefix: string): number {
  if (metadata.number(`${prefix}.block_count`) !== 62)
    return metadata.number(`${prefix}.attention.key_length`);
  return metadata.number(`${prefix}.embedding_length`) / metadata.number(`${prefix}.attention.head_count`);
}

/** @throws UserError where no family here computes what the file holds */
export async function specOfGguf(gguf: Gguf): Promise<ModelSpec> {
  const metadata = new Metadata(gguf);
  const prefix = metadata.text('general.architecture');
  if (!Object.hasOwn(architectures, prefix)) {
    const known = Object.keys(architectures);
    throw metadata.invalid('general.architecture', `${known.slice(0, -1).join(', ')} or ${known.at(-1)}`);
  }
  const { fields, places } = architectures[prefix];
  const json = { ...commonFields(gguf, metadata, prefix), ...fields(metadata, prefix) };
  const spec = parseModelSpec(json, `${gguf.path} (${basename(gguf.path)}'s metadata)`);
  const isByExpert = gguf.files.some(({ tensors }) => tensors.some(({ name }) => isOfOneExpert(name)));
  const tensors = isByExpert ? withTensorPerExpert(places) : places;
  return withOwnRotation(gguf, { ...withWholeNorms(spec), tensors });
}

function commonFields(gguf: Gguf, metadata: Metadata, prefix: string): JsonRecord {
  const numHeads = metadata.number(`${prefix}.attention.head_count`);
  const hiddenSize = metadata.number(`${prefix}.embedding_length`);
  const headDim = metadata.maybeNumber(`${prefix}.attention.key_length`) ?? hiddenSize / numHeads;
  const [embedding, head] = ['token_embd.weight', 'output.weight'].map((name) =>
    gguf.files.flatMap(({ tensors }) => tensors).find((tensor) => tensor.name === name),
  );
  if (!embedding)
    throw new UserError(
      `${gguf.path} has no tensor token_embd.weight; expected a whole language model; download it again`,
    );
  for (const key of ['attention.value_length', 'rope.dimension_count'])
    if ((metadata.maybeNumber(`${prefix}.${key}`) ?? headDim) !== headDim)
      throw metadata.invalid(`${prefix}.${key}`, `${headDim}, as the keys of a head have`);
  settleVocabulary(gguf, metadata, `${prefix}.vocab_size`, embedding.shape[0]);
  return {
    vocab_size: embedding.shape[0],
    hidden_size: hiddenSize,
    num_hidden_layers: metadata.number(`${prefix}.block_count`),
    num_attention_heads: numHeads,
    num_key_value_heads: metadata.maybeNumber(`${prefix}.attention.head_count_kv`) ?? numHeads,
    head_dim: headDim,
    intermediate_size: metadata.maybeNumber(`${prefix}.feed_forward_length`),
    max_position_embeddings: metadata.number(`${prefix}.context_length`),
    rms_norm_eps: metadata.number(`${prefix}.attention.layer_norm_rms_epsilon`),
    rope_theta: metadata.maybeNumber(`${prefix}.rope.freq_base`) ?? 1e4,
    ...ropeScaling(metadata, prefix),
    tie_word_embeddings: head === undefined,
    attention_bias: metadata.hasTensor('blk.0.attn_output.bias'),
    mlp_bias: metadata.hasTensor('blk.0.ffn_down.bias'),
    eos_token_id: endTokens(metadata),
  };
}

/** @param key where files of before 2024 say how many tokens there are */
function settleVocabulary(gguf: Gguf, metadata: Metadata, key: string, rows: number): void {
  const tokens = gguf.metadata.get('tokenizer.ggml.tokens');
  if (Array.isArray(tokens) && tokens.length !== rows)
    throw new UserError(
      `${gguf.path} has ${tokens.length} tokens in tokenizer.ggml.tokens and ${rows} rows in token_embd.weight; expected as many; download it again`,
    );
  const stated = metadata.maybeNumber(key) ?? rows;
  if (stated !== rows)
    warnOfCheckpoint(
      `${gguf.path}: ${key} ${stated} contradicts the ${rows} rows of token_embd.weight; the latter hold, as llama.cpp has it`,
    );
}

/** Without a type a factor is a linear one, which files of before 2024 call scale_linear, as llama.cpp takes them; 0: none. */
function ropeScaling(metadata: Metadata, prefix: string): JsonRecord {
  const type = metadata.maybeText(`${prefix}.rope.scaling.type`) ?? 'linear';
  const original = metadata.maybeNumber(`${prefix}.rope.scaling.original_context_length`);
  const factor =
    metadata.maybeNumber(`${prefix}.rope.scaling.factor`) ??
    metadata.maybeNumber(`${prefix}.rope.scale_linear`) ??
    0;
  if (type === 'none' || (type === 'linear' && (factor === 0 || factor === 1))) return {};
  if (type === 'linear') return { rope_scaling: { rope_type: 'linear', factor } };
  if (type !== 'yarn') throw metadata.invalid(`${prefix}.rope.scaling.type`, 'none, linear or yarn');
  return {
    rope_scaling: {
      ...{ rope_type: 'yarn', factor },
      beta_fast: metadata.maybeNumber(`${prefix}.rope.scaling.yarn_beta_fast`) ?? 32,
      beta_slow: metadata.maybeNumber(`${prefix}.rope.scaling.yarn_beta_slow`) ?? 1,
      ...{ original_max_position_embeddings: original, truncate: prefix !== 'gpt-oss' },
    },
  };
}

/** Generation ends at the end of a text and at the end of a turn. */
function endTokens(metadata: Metadata): number[] {
  const ids = ['eos', 'eot', 'eom'].map((name) => metadata.maybeNumber(`tokenizer.ggml.${name}_token_id`));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

/** Where weights of norms are stored less one elsewhere, the converter has added it. */
function withWholeNorms(spec: ModelSpec): ModelSpec {
  const whole = <Norm extends NormSpec | null>(norm: Norm): Norm => norm && { ...norm, offset: 0 };
  const layerOf = ({ norms, attention, ffn }: LayerSpec): LayerSpec => ({
    ffn,
    attention: {
      ...attention,
      qkNorm: attention.qkNorm && { ...attention.qkNorm, norm: whole(attention.qkNorm.norm) },
    },
    norms: {
      beforeAttention: whole(norms.beforeAttention),
      afterAttention: whole(norms.afterAttention),
      beforeFfn: whole(norms.beforeFfn),
      afterFfn: whole(norms.afterFfn),
    },
  });
  const layers = createLayers(spec.layers.length, (layer) => layerOf(spec.layers[layer]));
  return { ...spec, layers, finalNorm: whole(spec.finalNorm) };
}

/** What Llama 3's long contexts divide frequencies by. */
export const ropeFactorsName = 'rope_freqs.weight';

/** The file may hold a divisor for every frequency, worked out by the converter. */
async function withOwnRotation(gguf: Gguf, spec: ModelSpec): Promise<ModelSpec> {
  const stored = gguf.files.flatMap(({ tensors }) => tensors).find(({ name }) => name === ropeFactorsName);
  if (!stored) return spec;
  const { headDim, rope } = spec.layers[0].attention;
  if (rope.scaling !== null)
    throw new UserError(
      `${stored.path} has ${ropeFactorsName} beside a rope.scaling of ${rope.scaling.type}; expected one of them; use a file that llama.cpp's current tools wrote`,
    );
  const factors = [...(await readTensor(toTensorRef(stored)))];
  if (factors.length !== headDim / 2 || !factors.every((factor) => 0 < factor && factor < 1e6))
    throw new UserError(
      `${stored.path}: invalid ${ropeFactorsName}; expected ${headDim / 2} positive numbers; download the file again`,
    );
  const layers = createLayers(spec.layers.length, (layer) => {
    const { attention, ...rest } = spec.layers[layer];
    return {
      ...rest,
      attention: { ...attention, rope: { ...attention.rope, scaling: ownFactors(factors, spec) } },
    };
  });
  return { ...spec, layers };
}

function ownFactors(factors: readonly number[], { maxPositions }: ModelSpec) {
  return {
    type: 'longrope',
    ...{
      shortFactors: factors,
      longFactors: factors,
      originalMaxPositions: maxPositions,
      attentionFactor: 1,
    },
  } as const;
}
