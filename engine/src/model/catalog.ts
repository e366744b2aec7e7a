/** Models that can be predicted by name: what matters of the config.json that each is published with. */

import { parseModelSpec } from './config.js';
import { describeModel, type ModelDescription } from './describe.js';
import type { ModelSpec } from './spec.js';
import type { Checkpoint } from './types.js';

export interface CatalogEntry {
  readonly config: Readonly<Record<string, unknown>>;
  /** What records name it by; of the entry as it was first written down, whose fields had another order. */
  readonly digest: string;
}

const mixtral = {
  ...{ model_type: 'mixtral', vocab_size: 32_000, num_key_value_heads: 8, rope_theta: 1e6 },
  ...{ rms_norm_eps: 1e-5, sliding_window: null, num_local_experts: 8, num_experts_per_tok: 2 },
} as const;

const llama3 = {
  ...{ model_type: 'llama', vocab_size: 128_256, num_key_value_heads: 8, rope_theta: 5e5 },
  ...{ rms_norm_eps: 1e-5, max_position_embeddings: 131_072, eos_token_id: [128_001, 128_008, 128_009] },
} as const;

const llama3Rope = {
  ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 8192,
};

/** By the name that `--target` and `--draft` take. */
export const modelCatalog: Readonly<Record<string, CatalogEntry>> = {
  'mixtral-8x7b': {
    config: {
      ...mixtral,
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      max_position_embeddings: 32_768,
    },
    digest: 'b43ae22245826a4df9f48054fa5199979e66deda733de3b8d6790083d7e04cb8',
  },
  'mixtral-8x22b': {
    config: {
      ...mixtral,
      ...{ hidden_size: 6144, num_hidden_layers: 56, num_attention_heads: 48, intermediate_size: 16_384 },
      max_position_embeddings: 65_536,
    },
    digest: '858bc609ae9311c334f28e177f8b273ba0d9c4e142911e58516ca90a1a46ac4c',
  },
  'mistral-7b': {
    config: {
      ...{ model_type: 'mistral', vocab_size: 32_000, num_key_value_heads: 8, rope_theta: 1e6 },
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      ...{ rms_norm_eps: 1e-5, max_position_embeddings: 32_768, sliding_window: null },
    },
    digest: '2c70df9f5fbb63cfd373abc611e29783a2743f968f5800d7c7e90a5425845ad1',
  },
  'llama-3.3-70b': {
    config: {
      ...llama3,
      ...{ hidden_size: 8192, num_hidden_layers: 80, num_attention_heads: 64, intermediate_size: 28_672 },
      rope_scaling: llama3Rope,
    },
    digest: '61ac9af15c1d53c014792ace1fc8df651c609db380f19008b0fc87ac419ce140',
  },
  'llama-3.1-8b': {
    config: {
      ...llama3,
      ...{ hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, intermediate_size: 14_336 },
      rope_scaling: llama3Rope,
    },
    digest: '503f76d172c870cf695d2e95ed576ce6fef74b8a89c8e654174232204f7e9ac2',
  },
  'llama-3.2-1b': {
    config: {
      ...llama3,
      ...{ hidden_size: 2048, num_hidden_layers: 16, num_attention_heads: 32, intermediate_size: 8192 },
      ...{ head_dim: 64, tie_word_embeddings: true, rope_scaling: { ...llama3Rope, factor: 32 } },
    },
    digest: '81440f8646c2e68f79b901b2cc701382ed346161366340ba0e724c733602c4c9',
  },
};

/** @param name one of the catalogue */
export function catalogSpec(name: string): ModelSpec {
  return parseModelSpec(entryOf(name).config, name);
}

/** @param name one of the catalogue */
export function describeCatalogModel(name: string, unit?: ModelDescription['unit']): Checkpoint {
  return describeModel({ name, spec: catalogSpec(name), unit, digest: entryOf(name).digest });
}

function entryOf(name: string): CatalogEntry {
  const entry = Object.hasOwn(modelCatalog, name) ? modelCatalog[name] : undefined;
  if (!entry) throw new RangeError(`${name} is not in the catalogue`);
  return entry;
}
