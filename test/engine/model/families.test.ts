/** What a family's config.json may say, and that it is computed: by the reference, by every lane, and inflated. */

import { join } from 'node:path';
import {
  type Checkpoint,
  inflateCheckpoint,
  loadReferenceWeights,
  type PolicyInput,
  parseModelSpec,
  referenceGreedy,
  referenceLogits,
  runEngine,
  type StrategyName,
  UserError,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { choicesAlong } from '../oracle.js';
import { writeTinyCheckpoint } from '../tiny.js';
import { createTemporaryDirectory } from './fixtures.js';

const sizes = {
  ...{ vocab_size: 61, hidden_size: 24, intermediate_size: 40, num_hidden_layers: 4 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 128 },
};
const windowsOf = (json: object) =>
  parseModelSpec({ ...sizes, ...json }, 'config.json').layers.map(({ attention }) => attention.window);
const [full, sliding] = ['full_attention', 'sliding_attention'];

describe.each(['qwen2', 'qwen3'])('%s', (model_type) => {
  it('means by a missing field what its configuration class does', () => {
    const { layers, ...spec } = parseModelSpec({ model_type }, 'config.json');
    expect(spec).toMatchObject({
      ...{ architecture: model_type, vocabSize: 151_936, hiddenSize: 4096, maxPositions: 32_768 },
      ...{ embedding: { scale: 1, tied: false }, finalNorm: { eps: 1e-6, offset: 0 }, eosTokenIds: [] },
    });
    expect(layers).toHaveLength(32);
    expect(layers[31]).toMatchObject({
      attention: {
        ...{ numHeads: 32, numKvHeads: 32, headDim: 128, rope: { theta: 1e4, scaling: null }, window: null },
      },
      ffn: { width: 22_016, numExperts: 1, router: null },
    });
  });

  it.each<[string, object, (number | null)[]]>([
    ['none unless asked for', { sliding_window: 5, max_window_layers: 1 }, [null, null, null, null]],
    [
      'one from a layer on',
      { use_sliding_window: true, sliding_window: 5, max_window_layers: 3 },
      [null, null, null, 5],
    ],
    ['one everywhere', { use_sliding_window: true, max_window_layers: 0 }, [4096, 4096, 4096, 4096]],
    ['one nowhere yet', { use_sliding_window: true, sliding_window: 5 }, [null, null, null, null]],
    [
      'none of no size',
      { use_sliding_window: true, sliding_window: null, max_window_layers: 0 },
      [null, null, null, null],
    ],
    [
      'those of layer_types',
      { use_sliding_window: true, sliding_window: 5, layer_types: [sliding, full, sliding, full] },
      [5, null, 5, null],
    ],
  ])('has windows: %s', (_, json, windows) => {
    expect(windowsOf({ model_type, ...json })).toEqual(windows);
  });

  it.each<[object, string]>([
    [{ layer_types: [sliding, full, full, full] }, 'expected 4 times "full_attention", beside no window'],
    [
      { use_sliding_window: true, layer_types: [full, full] },
      'expected 4 times "full_attention" or "sliding_attention"',
    ],
    [{ max_window_layers: -1 }, 'invalid max_window_layers: -1; expected a whole number from 0 to 4096'],
    [{ hidden_act: 'gelu' }, 'unsupported hidden_act: "gelu"; expected "silu"'],
  ])('refuses %j', (json, message) => {
    const parse = () => parseModelSpec({ model_type, ...sizes, ...json }, 'config.json');
    expect(parse).toThrow(UserError);
    expect(parse).toThrow(message);
  });
});

it('has biases where its family has them', () => {
  const biasesOf = (json: object) =>
    parseModelSpec({ ...sizes, ...json }, 'config.json').layers[0].attention.biases;
  expect(biasesOf({ model_type: 'qwen2' })).toEqual({ q: true, k: true, v: true, o: false });
  expect(biasesOf({ model_type: 'qwen3' })).toEqual({ q: false, k: false, v: false, o: false });
  expect(biasesOf({ model_type: 'qwen3', attention_bias: true })).toEqual({
    q: true,
    k: true,
    v: true,
    o: true,
  });
});

const windows = { use_sliding_window: true, sliding_window: 5, max_window_layers: 2 };

/** The second layer rotates positions in another way, with a window. */
function withMixedRotations(checkpoint: Checkpoint): Checkpoint {
  const layers = checkpoint.spec.layers.map((layer, index) => {
    const changes = { window: 3, rope: { theta: 100, scaling: null } };
    return index === 1 ? { ...layer, attention: { ...layer.attention, ...changes } } : layer;
  });
  return { ...checkpoint, spec: { ...checkpoint.spec, layers } };
}

async function logitsOf(checkpoint: Checkpoint): Promise<Float32Array[]> {
  return referenceLogits(await loadReferenceWeights(checkpoint), [5, 3, 1, 8], { positions: 'last' });
}

describe.each<[string, object]>([
  ['biases, and windows in the upper layers', { model_type: 'qwen2', ...windows }],
  [
    'norms of heads, all biases, and windows',
    { model_type: 'qwen3', attention_bias: true, head_dim: 10, ...windows },
  ],
  ['tied embeddings', { model_type: 'qwen3', head_dim: 8, tie_word_embeddings: true }],
  [
    'experts in some layers, and dense ones between',
    {
      ...{ model_type: 'qwen3_moe', decoder_sparse_step: 2, mlp_only_layers: [3], head_dim: 8 },
      ...{ num_experts: 12, num_experts_per_tok: 3, moe_intermediate_size: 10, norm_topk_prob: true },
    },
  ],
  [
    'norms before and after, stored less one, scaled embeddings, and rotations by kind of layer',
    {
      ...{ model_type: 'gemma3_text', sliding_window: 5, sliding_window_pattern: 3, head_dim: 8 },
      ...{
        query_pre_attn_scalar: 20,
        rope_scaling: { rope_type: 'linear', factor: 4 },
        attention_bias: true,
      },
    },
  ],
  [
    'sinks, biases everywhere, a clamped gate, and stacked experts',
    {
      ...{
        model_type: 'gpt_oss',
        sliding_window: 5,
        head_dim: 8,
        num_local_experts: 6,
        num_experts_per_tok: 2,
      },
      ...{ rope_scaling: { rope_type: 'yarn', factor: 8, original_max_position_embeddings: 16 } },
    },
  ],
  ['biases everywhere in a dense decoder', { model_type: 'llama', attention_bias: true, mlp_bias: true }],
  [
    'an expert for every token beside those it chooses, and windows in every second layer',
    {
      ...{ model_type: 'qwen2_moe', mlp_only_layers: [1], num_experts: 6, num_experts_per_tok: 2 },
      ...{ moe_intermediate_size: 10, shared_expert_intermediate_size: 18, norm_topk_prob: false },
      ...{ use_sliding_window: true, sliding_window: 5 },
    },
  ],
  [
    'norms over all heads, clipped projections, and experts whose weights do not sum to one',
    { model_type: 'olmoe', num_experts: 6, num_experts_per_tok: 2, attention_bias: true, clip_qkv: 0.7 },
  ],
])('%s', (name, json) => {
  const directory = createTemporaryDirectory();
  let numModels = 0;
  const prompts = [[3, 1, 4], [1, 5, 9, 2, 6, 5, 35, 8, 9, 7, 9, 32], [38]];
  const maxNewTokens = 8;
  const open = (perturbation: number) => {
    numModels += 1;
    const weights = { dtype: 'f32', seed: 7, perturbation } as const;
    return writeTinyCheckpoint(directory, `${name} ${numModels}`, { ...sizes, ...json }, weights);
  };
  /** Texts of full length in which every token is what the reference chooses there are its own continuations. */
  const assertContinued = async (checkpoint: Checkpoint, texts: readonly (readonly number[])[]) => {
    const weights = await loadReferenceWeights(checkpoint);
    expect(texts.map(({ length }) => length)).toEqual(prompts.map(() => maxNewTokens));
    expect(prompts.map((prompt, index) => choicesAlong(weights, prompt, texts[index]!))).toEqual(texts);
  };

  it('is computed alike by the reference and by every lane, as target and as draft', async () => {
    const [target, draft] = [await open(0), await open(0.2)];
    const policies: [StrategyName, PolicyInput][] = [
      ['none', { prefillAttention: 'device', attention: 'device', cache: 'host' }],
      ['serial', { pinnedLayers: 0, keptLayers: 0, prefillAttention: 'host', candidates: 3 }],
      ['specoffload', { prefillAttention: 'device', attention: 'device', cache: 'device', candidates: 2 }],
    ];
    const written: (readonly number[])[][] = [];
    for (const [strategy, policy] of policies) {
      const { sequences } = await runEngine({
        ...{ target, draft: strategy === 'none' ? null : draft, prompts, strategy, maxNewTokens, policy },
        machine: { deviceBytes: 16e6, hostBytes: 16e6 },
      });
      written.push(sequences.map(({ ids }) => ids));
      expect(written.at(-1), strategy).toEqual(written[0]);
    }
    await assertContinued(target, written[0]!);
  });

  it('is so with layers that rotate positions differently', async () => {
    const [target, draft] = [withMixedRotations(await open(0)), withMixedRotations(await open(0.2))];
    expect(await logitsOf(target)).not.toEqual(await logitsOf(await open(0)));
    const written: (readonly number[])[][] = [];
    for (const attention of ['host', 'device'] as const) {
      const { sequences } = await runEngine({
        ...{ target, draft, prompts, strategy: 'serial', maxNewTokens },
        policy: { attention, prefillAttention: attention, candidates: 3 },
        machine: { deviceBytes: 16e6, hostBytes: 16e6 },
      });
      written.push(sequences.map(({ ids }) => ids));
      expect(written.at(-1), attention).toEqual(written[0]);
    }
    await assertContinued(target, written[0]!);
  });

  it('goes on as before when it is inflated', async () => {
    const source = await open(0.1);
    const request = { layers: 9, ffnSize: 64, seed: 3 };
    const targetDirectory = join(directory, 'inflated');
    const inflated = await inflateCheckpoint({ source, targetDirectory, ...request });
    expect(inflated.spec.layers.map(({ attention }) => attention.window)).toEqual(
      [0, 0, 0, 1, 1, 2, 2, 3, 3].map((layer) => source.spec.layers[layer].attention.window),
    );
    const weights = await loadReferenceWeights(source);
    await assertContinued(
      inflated,
      prompts.map((prompt) => referenceGreedy(weights, prompt, maxNewTokens).ids),
    );
  });
});

describe('of Gemma 3', () => {
  const gemma = { ...sizes, model_type: 'gemma3_text', num_hidden_layers: 8 };
  const [local, global] = [
    { theta: 1e4, scaling: null },
    { theta: 1e6, scaling: null },
  ];

  it.each<[string, object, number[]]>([
    ['every sixth layer sees everything', {}, [5]],
    ['or every third', { sliding_window_pattern: 3 }, [2, 5]],
    [
      'or those of layer_types',
      { layer_types: Array.from({ length: 8 }, (_, i) => (i === 1 ? full : sliding)) },
      [1],
    ],
  ])('%s', (_, json, seeing) => {
    const { layers } = parseModelSpec({ ...gemma, ...json }, 'config.json');
    for (const [index, { attention }] of layers.entries()) {
      const isFull = seeing.includes(index);
      expect(attention).toMatchObject({ window: isFull ? null : 4096, rope: isFull ? global : local });
    }
  });

  it.each<[string, object, object, object]>([
    [
      'published with transformers 4',
      { rope_theta: 5e5, rope_local_base_freq: 2e4, rope_scaling: { rope_type: 'linear', factor: 8 } },
      { theta: 5e5, scaling: { type: 'linear', factor: 8 } },
      { theta: 2e4, scaling: null },
    ],
    [
      'written by transformers 5',
      {
        rope_parameters: {
          full_attention: { rope_type: 'linear', factor: 8, rope_theta: 3e6 },
          sliding_attention: { rope_type: 'default', rope_theta: 3e4 },
        },
      },
      { theta: 3e6, scaling: { type: 'linear', factor: 8 } },
      { theta: 3e4, scaling: null },
    ],
  ])('has the bases of a configuration %s', (_, json, fullRope, slidingRope) => {
    const { layers } = parseModelSpec({ ...gemma, ...json }, 'config.json');
    expect(layers[5].attention.rope).toEqual(fullRope);
    expect(layers[0].attention.rope).toEqual(slidingRope);
  });

  it.each<[object, string]>([
    [{ final_logit_softcapping: 30 }, 'unsupported final_logit_softcapping: 30; expected null'],
    [{ use_bidirectional_attention: true }, 'unsupported use_bidirectional_attention: true; expected false'],
    [{ hidden_activation: 'gelu' }, 'unsupported hidden_activation: "gelu"; expected "gelu_pytorch_tanh"'],
    [{ model_type: 'gemma3' }, 'invalid text_config: null; expected the fields of a gemma3_text model'],
  ])('refuses %j', (json, message) => {
    expect(() => parseModelSpec({ ...gemma, ...json }, 'config.json')).toThrow(message);
  });

  it('reads the part for text of a checkpoint that reads images, too', async () => {
    const directory = createTemporaryDirectory();
    const text = { ...gemma, num_hidden_layers: 2, sliding_window: 3, head_dim: 8 };
    const weights = { dtype: 'bf16', seed: 3 } as const;
    const alone = await writeTinyCheckpoint(directory, 'text', text, weights);
    const multimodal = { model_type: 'gemma3', text_config: text, vision_config: {} };
    const tower = { name: 'vision_tower.vision_model.embeddings.weight', shape: [3] };
    const both = await writeTinyCheckpoint(directory, 'both', multimodal, weights, [tower]);
    expect(both.parameters).toBe(alone.parameters);
    expect(await logitsOf(both)).toEqual(await logitsOf(alone));
    const targetDirectory = join(directory, 'larger');
    const inflated = await inflateCheckpoint({ source: both, targetDirectory, layers: 3, seed: 1 });
    expect(inflated.spec.layers).toHaveLength(3);
    expect(await logitsOf(inflated)).toEqual(await logitsOf(alone));
  });
});
