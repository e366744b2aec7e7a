/** Of the catalogue's models, what matters of the config.json that each is published with, and where. */

import type { CatalogEntry } from './catalog-entry.js';
import { qwenEntries } from './catalog-qwen.js';

const mixtral = {
  ...{ model_type: 'mixtral', vocab_size: 32_000, num_key_value_heads: 8, rope_theta: 1e6 },
  ...{ rms_norm_eps: 1e-5, sliding_window: null, num_local_experts: 8, num_experts_per_tok: 2 },
} as const;

const mistral = {
  ...{ model_type: 'mistral', num_key_value_heads: 8, rms_norm_eps: 1e-5, sliding_window: null },
} as const;

const llama3 = {
  ...{ model_type: 'llama', vocab_size: 128_256, num_key_value_heads: 8, rope_theta: 5e5 },
  ...{ rms_norm_eps: 1e-5, max_position_embeddings: 131_072, eos_token_id: [128_001, 128_008, 128_009] },
} as const;

const llama3Rope = {
  ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 8192,
};

/** The small ones stretch further. */
const smallLlama3 = { tie_word_embeddings: true, rope_scaling: { ...llama3Rope, factor: 32 } };

const gptOss = {
  ...{ model_type: 'gpt_oss', vocab_size: 201_088, hidden_size: 2880, intermediate_size: 2880, head_dim: 64 },
  ...{ num_attention_heads: 64, num_key_value_heads: 8, num_experts_per_tok: 4, sliding_window: 128 },
  ...{ rms_norm_eps: 1e-5, attention_bias: true, eos_token_id: 200_002, max_position_embeddings: 131_072 },
  ...{ rope_theta: 150_000, swiglu_limit: 7, quantization_config: { quant_method: 'mxfp4' } },
  rope_scaling: {
    ...{ rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
    original_max_position_embeddings: 4096,
  },
} as const;

const gemma3 = {
  ...{ model_type: 'gemma3_text', rope_theta: 1e6, rope_local_base_freq: 1e4, rms_norm_eps: 1e-6 },
  ...{ sliding_window_pattern: 6, query_pre_attn_scalar: 256, eos_token_id: [1, 106] },
} as const;

/**
 * OPT in the sizes that decide how long it takes: as many weights, in a Llama's three matrices of an FFN (8/3 of the hidden
 * size each) where OPT has two of four times the hidden size, and positions that are rotated where OPT adds learned ones.
 * To predict with, not to run: its checkpoints are another family's.
 */
function optLike(hiddenSize: number, numLayers: number) {
  return {
    ...{ model_type: 'llama', vocab_size: 50_272, hidden_size: hiddenSize, num_hidden_layers: numLayers },
    ...{ num_attention_heads: hiddenSize / 128, intermediate_size: Math.round((8 * hiddenSize) / 3) },
    ...{ rope_theta: 1e4, rms_norm_eps: 1e-5, max_position_embeddings: 2048, eos_token_id: 2 },
    tie_word_embeddings: true,
  };
}

/** The part for text of those that read images. */
const largeGemma3 = {
  ...{ ...gemma3, vocab_size: 262_208, max_position_embeddings: 131_072, sliding_window: 1024 },
  rope_scaling: { rope_type: 'linear', factor: 8 },
} as const;

/** By the name that `--target` and `--draft` take. */
export const modelCatalog: Readonly<Record<string, CatalogEntry>> = {
  'mixtral-8x7b': {
    source: 'mistralai/Mixtral-8x7B-Instruct-v0.1',
    config: {
      ...mixtral,
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      max_position_embeddings: 32_768,
    },
    draft: 'mistral-7b',
    digest: 'b43ae22245826a4df9f48054fa5199979e66deda733de3b8d6790083d7e04cb8',
  },
  'mixtral-8x22b': {
    source: 'mistralai/Mixtral-8x22B-v0.1',
    config: {
      ...mixtral,
      ...{ hidden_size: 6144, num_hidden_layers: 56, num_attention_heads: 48, intermediate_size: 16_384 },
      max_position_embeddings: 65_536,
    },
    draft: 'mistral-7b',
    digest: '858bc609ae9311c334f28e177f8b273ba0d9c4e142911e58516ca90a1a46ac4c',
  },
  'mistral-7b': {
    source: 'mistralai/Mistral-7B-Instruct-v0.2',
    config: {
      ...{ model_type: 'mistral', vocab_size: 32_000, num_key_value_heads: 8, rope_theta: 1e6 },
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      ...{ rms_norm_eps: 1e-5, max_position_embeddings: 32_768, sliding_window: null },
    },
    draft: null,
    digest: '2c70df9f5fbb63cfd373abc611e29783a2743f968f5800d7c7e90a5425845ad1',
  },
  'mistral-nemo-12b': {
    source: 'mistralai/Mistral-Nemo-Instruct-2407',
    config: {
      ...{ ...mistral, vocab_size: 131_072, hidden_size: 5120, intermediate_size: 14_336, head_dim: 128 },
      ...{
        num_hidden_layers: 40,
        num_attention_heads: 32,
        rope_theta: 1e6,
        max_position_embeddings: 131_072,
      },
    },
    draft: null,
  },
  'mistral-small-24b': {
    source: 'mistralai/Mistral-Small-24B-Instruct-2501',
    config: {
      ...{ ...mistral, vocab_size: 131_072, hidden_size: 5120, intermediate_size: 32_768, head_dim: 128 },
      ...{ num_hidden_layers: 40, num_attention_heads: 32, rope_theta: 1e8, max_position_embeddings: 32_768 },
    },
    draft: null,
  },
  'mistral-large-123b': {
    source: 'mistralai/Mistral-Large-Instruct-2407',
    config: {
      ...{ ...mistral, vocab_size: 32_768, hidden_size: 12_288, intermediate_size: 28_672, head_dim: 128 },
      ...{
        num_hidden_layers: 88,
        num_attention_heads: 96,
        rope_theta: 1e6,
        max_position_embeddings: 131_072,
      },
    },
    draft: null,
  },
  'llama-3.3-70b': {
    source: 'meta-llama/Llama-3.3-70B-Instruct',
    config: {
      ...llama3,
      ...{ hidden_size: 8192, num_hidden_layers: 80, num_attention_heads: 64, intermediate_size: 28_672 },
      rope_scaling: llama3Rope,
    },
    draft: 'llama-3.2-1b',
    digest: '61ac9af15c1d53c014792ace1fc8df651c609db380f19008b0fc87ac419ce140',
  },
  'llama-3.1-405b': {
    source: 'meta-llama/Llama-3.1-405B-Instruct',
    config: {
      ...llama3,
      ...{ hidden_size: 16_384, num_hidden_layers: 126, num_attention_heads: 128, intermediate_size: 53_248 },
      rope_scaling: llama3Rope,
    },
    draft: 'llama-3.2-1b',
  },
  'llama-3.1-8b': {
    source: 'meta-llama/Llama-3.1-8B-Instruct',
    config: {
      ...llama3,
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      rope_scaling: llama3Rope,
    },
    draft: 'llama-3.2-1b',
    digest: '503f76d172c870cf695d2e95ed576ce6fef74b8a89c8e654174232204f7e9ac2',
  },
  'llama-3.2-3b': {
    source: 'meta-llama/Llama-3.2-3B-Instruct',
    config: {
      ...{ ...llama3, hidden_size: 3072, num_hidden_layers: 28, num_attention_heads: 24 },
      ...{ intermediate_size: 8192, head_dim: 128, ...smallLlama3 },
    },
    draft: 'llama-3.2-1b',
  },
  'llama-3.2-1b': {
    source: 'meta-llama/Llama-3.2-1B-Instruct',
    config: {
      ...llama3,
      ...{ hidden_size: 2048, num_hidden_layers: 16, num_attention_heads: 32, intermediate_size: 8192 },
      ...{ head_dim: 64, ...smallLlama3 },
    },
    draft: null,
    digest: '81440f8646c2e68f79b901b2cc701382ed346161366340ba0e724c733602c4c9',
  },
  ...qwenEntries,
  'gpt-oss-120b': {
    source: 'openai/gpt-oss-120b',
    config: { ...gptOss, num_hidden_layers: 36, num_local_experts: 128 },
    draft: 'gpt-oss-20b',
  },
  'gpt-oss-20b': {
    source: 'openai/gpt-oss-20b',
    config: { ...gptOss, num_hidden_layers: 24, num_local_experts: 32 },
    draft: null,
  },
  'gemma-3-27b': {
    source: 'google/gemma-3-27b-it',
    config: {
      ...{ ...largeGemma3, hidden_size: 5376, num_hidden_layers: 62, num_attention_heads: 32 },
      ...{ num_key_value_heads: 16, head_dim: 128, intermediate_size: 21_504, query_pre_attn_scalar: 168 },
    },
    draft: 'gemma-3-4b',
  },
  'gemma-3-12b': {
    source: 'google/gemma-3-12b-it',
    config: {
      ...{ ...largeGemma3, hidden_size: 3840, num_hidden_layers: 48, num_attention_heads: 16 },
      ...{ num_key_value_heads: 8, head_dim: 256, intermediate_size: 15_360 },
    },
    draft: 'gemma-3-4b',
  },
  'gemma-3-4b': {
    source: 'google/gemma-3-4b-it',
    config: {
      ...{ ...largeGemma3, hidden_size: 2560, num_hidden_layers: 34, num_attention_heads: 8 },
      ...{ num_key_value_heads: 4, head_dim: 256, intermediate_size: 10_240 },
    },
    draft: null,
  },
  'gemma-3-1b': {
    source: 'google/gemma-3-1b-it',
    config: {
      ...{ ...gemma3, vocab_size: 262_144, hidden_size: 1152, num_hidden_layers: 26, num_attention_heads: 4 },
      ...{ num_key_value_heads: 1, head_dim: 256, intermediate_size: 6912, sliding_window: 512 },
      max_position_embeddings: 32_768,
    },
    draft: null,
  },
  'olmoe-1b-7b': {
    source: 'allenai/OLMoE-1B-7B-0924-Instruct',
    config: {
      ...{
        model_type: 'olmoe',
        vocab_size: 50_304,
        hidden_size: 2048,
        num_hidden_layers: 16,
        rope_theta: 1e4,
      },
      ...{ num_attention_heads: 16, num_key_value_heads: 16, intermediate_size: 1024, num_experts: 64 },
      ...{ num_experts_per_tok: 8, norm_topk_prob: false, rms_norm_eps: 1e-5, eos_token_id: 50_279 },
      max_position_embeddings: 4096,
    },
    draft: null,
  },
  'opt-6.7b': { source: 'facebook/opt-6.7b', config: optLike(4096, 32), draft: null },
  'opt-13b': { source: 'facebook/opt-13b', config: optLike(5120, 40), draft: null },
  'opt-30b': { source: 'facebook/opt-30b', config: optLike(7168, 48), draft: null },
  'llama-2-7b': {
    source: 'meta-llama/Llama-2-7b-hf',
    config: {
      ...{ model_type: 'llama', vocab_size: 32_000, hidden_size: 4096, num_hidden_layers: 32 },
      ...{ num_attention_heads: 32, intermediate_size: 11_008, rope_theta: 1e4, rms_norm_eps: 1e-5 },
      ...{ max_position_embeddings: 4096, eos_token_id: 2 },
    },
    draft: null,
  },
};
