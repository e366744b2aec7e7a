/** The catalogue's entries of the Qwen families. */

import type { CatalogEntry } from './catalog-entry.js';

const qwen3 = {
  ...{ model_type: 'qwen3', vocab_size: 151_936, num_key_value_heads: 8, head_dim: 128, rope_theta: 1e6 },
  ...{ rms_norm_eps: 1e-6, max_position_embeddings: 40_960, eos_token_id: 151_645 },
} as const;

const qwen3Moe = {
  ...{ ...qwen3, model_type: 'qwen3_moe', num_key_value_heads: 4 },
  ...{ num_experts: 128, num_experts_per_tok: 8, norm_topk_prob: true, decoder_sparse_step: 1 },
} as const;

/** What all of Qwen1.5-MoE and Qwen2-MoE share. */
const qwen2Moe = {
  ...{ model_type: 'qwen2_moe', vocab_size: 151_936, rope_theta: 1e6, rms_norm_eps: 1e-6 },
  ...{ norm_topk_prob: false, decoder_sparse_step: 1, eos_token_id: 151_643 },
} as const;

export const qwenEntries: Readonly<Record<string, CatalogEntry>> = {
  'qwen2.5-3b': {
    source: 'Qwen/Qwen2.5-3B-Instruct',
    config: {
      ...{ model_type: 'qwen2', vocab_size: 151_936, hidden_size: 2048, num_hidden_layers: 36 },
      ...{ num_attention_heads: 16, num_key_value_heads: 2, intermediate_size: 11_008, rope_theta: 1e6 },
      ...{ rms_norm_eps: 1e-6, max_position_embeddings: 32_768, eos_token_id: 151_645 },
      tie_word_embeddings: true,
    },
    draft: null,
  },
  'qwen3-235b-a22b': {
    source: 'Qwen/Qwen3-235B-A22B',
    config: {
      ...{ ...qwen3Moe, hidden_size: 4096, num_hidden_layers: 94, num_attention_heads: 64 },
      ...{ intermediate_size: 12_288, moe_intermediate_size: 1536 },
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-30b-a3b': {
    source: 'Qwen/Qwen3-30B-A3B',
    config: {
      ...{ ...qwen3Moe, hidden_size: 2048, num_hidden_layers: 48, num_attention_heads: 32 },
      ...{ intermediate_size: 6144, moe_intermediate_size: 768 },
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-32b': {
    source: 'Qwen/Qwen3-32B',
    config: {
      ...{ ...qwen3, hidden_size: 5120, num_hidden_layers: 64, num_attention_heads: 64 },
      intermediate_size: 25_600,
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-14b': {
    source: 'Qwen/Qwen3-14B',
    config: {
      ...{ ...qwen3, hidden_size: 5120, num_hidden_layers: 40, num_attention_heads: 40 },
      intermediate_size: 17_408,
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-8b': {
    source: 'Qwen/Qwen3-8B',
    config: {
      ...{ ...qwen3, hidden_size: 4096, num_hidden_layers: 36, num_attention_heads: 32 },
      intermediate_size: 12_288,
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-4b': {
    source: 'Qwen/Qwen3-4B',
    config: {
      ...{ ...qwen3, hidden_size: 2560, num_hidden_layers: 36, num_attention_heads: 32 },
      ...{ intermediate_size: 9728, tie_word_embeddings: true },
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-1.7b': {
    source: 'Qwen/Qwen3-1.7B',
    config: {
      ...{ ...qwen3, hidden_size: 2048, num_hidden_layers: 28, num_attention_heads: 16 },
      ...{ intermediate_size: 6144, tie_word_embeddings: true },
    },
    draft: 'qwen3-0.6b',
  },
  'qwen3-0.6b': {
    source: 'Qwen/Qwen3-0.6B',
    config: {
      ...{ ...qwen3, hidden_size: 1024, num_hidden_layers: 28, num_attention_heads: 16 },
      ...{ intermediate_size: 3072, tie_word_embeddings: true },
    },
    draft: null,
  },
  'qwen2-57b-a14b': {
    source: 'Qwen/Qwen2-57B-A14B',
    config: {
      ...{ ...qwen2Moe, hidden_size: 3584, num_hidden_layers: 28, num_attention_heads: 28 },
      ...{ num_key_value_heads: 4, intermediate_size: 18_944, max_position_embeddings: 131_072 },
      ...{ num_experts: 64, num_experts_per_tok: 8, moe_intermediate_size: 2560 },
      shared_expert_intermediate_size: 20_480,
    },
    draft: 'qwen2-0.5b',
  },
  'qwen1.5-moe-a2.7b': {
    source: 'Qwen/Qwen1.5-MoE-A2.7B',
    config: {
      ...{ ...qwen2Moe, hidden_size: 2048, num_hidden_layers: 24, num_attention_heads: 16 },
      ...{ num_key_value_heads: 16, intermediate_size: 5632, max_position_embeddings: 8192 },
      ...{ num_experts: 60, num_experts_per_tok: 4, moe_intermediate_size: 1408 },
      shared_expert_intermediate_size: 5632,
    },
    draft: 'qwen2-0.5b',
  },
  'qwen2-0.5b': {
    source: 'Qwen/Qwen2-0.5B',
    config: {
      ...{ model_type: 'qwen2', vocab_size: 151_936, hidden_size: 896, num_hidden_layers: 24 },
      ...{ num_attention_heads: 14, num_key_value_heads: 2, intermediate_size: 4864, rope_theta: 1e6 },
      ...{ rms_norm_eps: 1e-6, tie_word_embeddings: true, max_position_embeddings: 131_072 },
      eos_token_id: 151_643,
    },
    draft: null,
  },
};
