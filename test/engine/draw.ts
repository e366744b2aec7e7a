/** Random configurations, policies and prompts. Every draw takes its generator, so a case is its seed. */

import {
  type DrafterName,
  drafterNames,
  type ModelSummary,
  type PolicyInput,
  type Random,
  type StrategyName,
} from '@specoffload/engine';

/** A uniform integer from `least` to `most`. */
export function integer(random: Random, least: number, most: number): number {
  return least + Math.floor(random.uniform() * (most - least + 1));
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[integer(random, 0, items.length - 1)];
}

/** Odd sizes on purpose: nothing but the head's size needs to be even. */
export function drawConfig(random: Random): ModelSummary {
  const architecture = pick(random, ['mixtral', 'mixtral', 'mistral', 'llama'] as const);
  const numKvHeads = integer(random, 1, 3);
  const numExperts = architecture === 'mixtral' ? integer(random, 1, 6) : 1;
  return {
    architecture,
    vocabSize: integer(random, 20, 90),
    hiddenSize: integer(random, 17, 48),
    numLayers: integer(random, 1, 4),
    numHeads: numKvHeads * pick(random, [1, 2, 4]),
    numKvHeads,
    headDim: pick(random, [4, 6, 8, 14, 16]),
    ffnSize: integer(random, 9, 64),
    numExperts,
    expertsPerToken: integer(random, 1, Math.min(3, numExperts)),
    slidingWindow: architecture === 'llama' || random.uniform() < 0.5 ? null : integer(random, 1, 12),
    ropeTheta: pick(random, [1e4, 1e6]),
    ropeScaling: null,
    rmsNormEps: 1e-5,
    tieEmbeddings: random.uniform() < 0.4,
    maxPositions: 64,
    eosTokenIds: [],
  };
}

const families = [
  ...(['qwen2', 'qwen3', 'qwen3_moe', 'olmoe', 'gpt_oss', 'gemma3_text', 'qwen2_moe'] as const),
];

/** The same sizes in a family that is not in Llama's manner alone: each in turn, its own fields drawn. */
export function drawFamilyJson(
  random: Random,
  turn: number,
  { num_local_experts: _, ...json }: Readonly<Record<string, unknown>>,
) {
  const model_type = families[turn % families.length];
  const window = integer(random, 2, 9);
  const numExperts = integer(random, 2, 12);
  const experts = {
    num_experts: numExperts,
    num_experts_per_tok: integer(random, 1, Math.min(3, numExperts)),
  };
  const width = { moe_intermediate_size: integer(random, 5, 20), norm_topk_prob: random.uniform() < 0.5 };
  const own = {
    qwen2: { use_sliding_window: true, sliding_window: window, max_window_layers: 1 },
    qwen3: { attention_bias: random.uniform() < 0.5, sliding_window: null },
    qwen3_moe: { ...experts, ...width, sliding_window: null, decoder_sparse_step: integer(random, 1, 2) },
    olmoe: {
      ...{ ...experts, sliding_window: null, attention_bias: random.uniform() < 0.5 },
      clip_qkv: random.uniform() < 0.5 ? random.uniform() + 0.1 : null,
    },
    gpt_oss: {
      ...{ num_local_experts: numExperts, num_experts_per_tok: experts.num_experts_per_tok },
      sliding_window: window,
      rope_scaling: { rope_type: 'yarn', factor: 8, original_max_position_embeddings: 16 },
    },
    // A shared expert beside the others.
    qwen2_moe: { ...experts, ...width, shared_expert_intermediate_size: window + 8, decoder_sparse_step: 1 },
    gemma3_text: { sliding_window: window, sliding_window_pattern: 2, query_pre_attn_scalar: 12 },
  } satisfies Record<(typeof families)[number], object>;
  return { ...json, model_type, ...own[model_type] };
}

/** Who proposes in a run: most often a model, now and then one of the others. */
export function drawDrafter(random: Random): DrafterName {
  return random.uniform() < 0.5 ? 'model' : pick(random, drafterNames);
}

/** Policies under which `numPrompts` prompts take at most a few waves, since every wave costs passes of its own. */
export function drawPolicy(random: Random, strategy: StrategyName, numPrompts: number): PolicyInput {
  if (strategy === 'ahead')
    return { ...drawPolicy(random, 'serial', numPrompts), outcomes: integer(random, 2, 9), alternates: 0 };
  const maybe = <T>(value: T): T | undefined => (random.uniform() < 0.5 ? value : undefined);
  const decodeBatch = maybe(integer(random, Math.ceil(numPrompts / 4), numPrompts));
  const drawn: PolicyInput = {
    batches: maybe(pick(random, [1, 2])),
    decodeBatch,
    prefillBatch: maybe(integer(random, Math.ceil(numPrompts / 4), numPrompts)),
    prefillOrder: maybe(pick(random, ['batch-major', 'layer-major'] as const)),
    prefetchDepth: maybe(pick(random, [1, 2, 5])),
    pinnedLayers: integer(random, 0, 1),
    keptLayers: integer(random, 0, 2),
    ...(strategy === 'none'
      ? {}
      : {
          draftBatch: maybe(integer(random, Math.ceil(numPrompts / 4), numPrompts)),
          candidates: maybe(pick(random, [1, 2, 3, 5, 8, 16])),
          alternates: maybe(pick(random, [0, 1, 2, 5, 16])),
          alternateTokens: maybe(pick(random, [1, 2, 4, 16])),
          draftCache: maybe(pick(random, ['recompute', 'resident', 'window'] as const)),
          draftWindow: maybe(integer(random, 1, 20)),
          draftPlacement: maybe(pick(random, ['start', 'after-prefill'] as const)),
        }),
  };
  return Object.fromEntries(Object.entries(drawn).filter(([, value]) => value !== undefined));
}

/** Where and when things happen: attention, caches, weights, experts. Fields contradict each other nowhere. */
export function drawPlaces(random: Random, numPrompts: number): PolicyInput {
  const attention = pick(random, ['host', 'device', 'device', 'split'] as const);
  const prefillAttention = pick(random, ['host', 'device', 'device'] as const);
  const isOnDevice = attention === 'device' && prefillAttention === 'device';
  const experts = pick(random, ['all', 'routed', 'routed'] as const);
  const drawn: { -readonly [Field in keyof PolicyInput]: PolicyInput[Field] } = {
    ...{ attention, prefillAttention, experts },
    projections: pick(random, ['host', 'device'] as const),
    cache: isOnDevice ? pick(random, ['host', 'device'] as const) : 'host',
    hostShare: pick(random, [0, 0, 0.25, 0.6]),
    balance: pick(random, ['given', 'given', 'measured', 'printed'] as const),
    hostExpertRows: experts === 'routed' ? pick(random, [0, 1, 2, 10, 1000]) : 0,
    streaming: pick(random, ['ahead', 'on-demand'] as const),
    attentionWeights: pick(random, ['streamed', 'resident'] as const),
    microBatch: integer(random, Math.ceil(numPrompts / 6), numPrompts),
    prefetchDepth: pick(random, [0, 1, 3]),
    ending: pick(random, ['own-limit', 'slowest'] as const),
    refill: pick(random, ['no', 'yes'] as const),
    residents: pick(random, ['layers', 'tensors'] as const),
  };
  drawn.coalesceExperts = pick(random, ['no', 'yes'] as const);
  drawn.joinBatches = pick(random, ['no', 'yes'] as const);
  const stay = experts === 'routed' && random.uniform() < 0.5;
  return stay ? { ...drawn, ...drawCache(random) } : drawn;
}

/** Experts that stay come whole, and ahead. */
function drawCache(random: Random): PolicyInput {
  return {
    ...{
      streaming: 'ahead',
      hostShare: 0,
      balance: 'given',
      expertCache: pick(random, ['lru', 'lfu', 'farthest'] as const),
    },
    expertPrefetch: pick(random, ['none', 'router'] as const),
    foreseenLayers: integer(random, 1, 3),
    ...{ cachedOnDevice: integer(random, 0, 6), cachedOnHost: integer(random, 0, 9) },
  };
}

export function drawPrompts(
  random: Random,
  numPrompts: number,
  longest: number,
  vocabSize: number,
): number[][] {
  return Array.from({ length: numPrompts }, () =>
    Array.from({ length: integer(random, 1, longest) }, () => integer(random, 0, vocabSize - 1)),
  );
}
