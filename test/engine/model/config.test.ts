import { parseEosTokenIds, parseModelSpec, summarise, UserError } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { mistralJson } from './fixtures.js';

const mixtralJson = { ...mistralJson, model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
const llamaJson = { ...mistralJson, model_type: 'llama' };
const llama3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};
const llama3Parsed = {
  type: 'llama3',
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositions: 32,
};
const without = (json: object, field: string) =>
  Object.fromEntries(Object.entries(json).filter(([k]) => k !== field));

const parse = (...of: Parameters<typeof parseModelSpec>) => summarise(parseModelSpec(...of));

describe('parseModelSpec', () => {
  it('reads a dense model', () => {
    expect(parse(mistralJson, 'config.json')).toEqual({
      architecture: 'mistral',
      vocabSize: 6,
      hiddenSize: 4,
      numLayers: 1,
      numHeads: 2,
      numKvHeads: 1,
      headDim: 2,
      ffnSize: 8,
      numExperts: 1,
      expertsPerToken: 1,
      slidingWindow: null,
      ropeTheta: 10000,
      ropeScaling: null,
      rmsNormEps: 1e-5,
      tieEmbeddings: false,
      maxPositions: 64,
      eosTokenIds: [2],
    });
  });

  it.each([
    ['no head_dim', mistralJson, { headDim: 2 }],
    ['null head_dim', { ...mistralJson, head_dim: null }, { headDim: 2 }],
    ['a head_dim of its own', { ...mistralJson, head_dim: 6 }, { headDim: 6 }],
    ['no num_key_value_heads in Llama', without(llamaJson, 'num_key_value_heads'), { numKvHeads: 2 }],
    [
      'no num_key_value_heads in Mistral',
      { ...without(mistralJson, 'num_key_value_heads'), num_attention_heads: 16, head_dim: 2 },
      { numKvHeads: 8 },
    ],
    [
      'no num_key_value_heads in Mixtral',
      { ...without(mixtralJson, 'num_key_value_heads'), num_attention_heads: 16, head_dim: 2 },
      { numKvHeads: 8 },
    ],
    ['null num_key_value_heads', { ...mistralJson, num_key_value_heads: null }, { numKvHeads: 2 }],
    [
      'nothing but the name of Llama',
      { model_type: 'llama' },
      {
        ...{ vocabSize: 32_000, hiddenSize: 4096, numLayers: 32, numHeads: 32, numKvHeads: 32, headDim: 128 },
        ...{ ffnSize: 11_008, slidingWindow: null, ropeTheta: 1e4, ropeScaling: null, rmsNormEps: 1e-6 },
        ...{ tieEmbeddings: false, maxPositions: 2048, eosTokenIds: [2], numExperts: 1 },
      },
    ],
    [
      'nothing but the name of Mistral',
      { model_type: 'mistral' },
      {
        ...{ numKvHeads: 8, ffnSize: 14_336, slidingWindow: 4096, ropeTheta: 1e4, rmsNormEps: 1e-6 },
        ...{ maxPositions: 131_072 },
      },
    ],
    [
      'nothing but the name of Mixtral',
      { model_type: 'mixtral' },
      {
        ...{ numKvHeads: 8, ffnSize: 14_336, slidingWindow: null, ropeTheta: 1e6, rmsNormEps: 1e-5 },
        ...{ maxPositions: 131_072, numExperts: 8, expertsPerToken: 2 },
      },
    ],
    ['num_experts', { ...without(mixtralJson, 'num_local_experts'), num_experts: 4 }, { numExperts: 4 }],
    ['swish', { ...mistralJson, hidden_act: 'swish' }, {}],
    [
      'llama3 without the original length',
      {
        ...llamaJson,
        rope_scaling: { ...without(llama3, 'original_max_position_embeddings'), type: 'llama3' },
      },
      { ropeScaling: { ...llama3Parsed, originalMaxPositions: 64 } },
    ],
    ['experts', mixtralJson, { architecture: 'mixtral', numExperts: 8, expertsPerToken: 2 }],
    [
      'no model_type',
      { ...without(mistralJson, 'model_type'), architectures: ['LlamaForCausalLM'] },
      { architecture: 'llama' },
    ],
    ['a window', { ...mistralJson, sliding_window: 16 }, { slidingWindow: 16 }],
    ['the window of MistralConfig', without(mistralJson, 'sliding_window'), { slidingWindow: 4096 }],
    ['no window in Llama', { ...llamaJson, sliding_window: 16 }, { slidingWindow: null }],
    ['the theta of MixtralConfig', without(mixtralJson, 'rope_theta'), { ropeTheta: 1e6 }],
    [
      'rope_type',
      { ...llamaJson, rope_scaling: { ...llama3, rope_type: 'llama3' } },
      { ropeScaling: llama3Parsed },
    ],
    [
      'legacy type',
      { ...llamaJson, rope_scaling: { ...llama3, type: 'llama3' } },
      { ropeScaling: llama3Parsed },
    ],
    ['default scaling', { ...llamaJson, rope_scaling: { rope_type: 'default' } }, { ropeScaling: null }],
    [
      'rope_parameters',
      {
        ...without(llamaJson, 'rope_theta'),
        rope_parameters: { ...llama3, rope_type: 'llama3', rope_theta: 500000 },
      },
      { ropeTheta: 500000, ropeScaling: llama3Parsed },
    ],
    [
      'default rope_parameters',
      { ...without(llamaJson, 'rope_theta'), rope_parameters: { rope_type: 'default', rope_theta: 5000 } },
      { ropeTheta: 5000, ropeScaling: null },
    ],
    ['tied embeddings', { ...mistralJson, tie_word_embeddings: true }, { tieEmbeddings: true }],
    ['several eos ids', { ...mistralJson, eos_token_id: [2, 5] }, { eosTokenIds: [2, 5] }],
    ['no eos id', { ...mistralJson, eos_token_id: null }, { eosTokenIds: [] }],
  ])('understands %s', (_, json, expected) => {
    expect(parse(json, 'config.json')).toMatchObject(expected);
  });

  it.each([
    [[], 'invalid content: []; expected an object'],
    [
      { ...mistralJson, model_type: 'gpt2' },
      'unsupported model_type: "gpt2"; expected mixtral, mistral, llama',
    ],
    [{}, 'unsupported architectures: missing;'],
    [{ ...mistralJson, attention_bias: true }, 'unsupported attention_bias: true; expected false; use'],
    [{ ...mistralJson, mlp_bias: true }, 'unsupported mlp_bias: true; expected false; use'],
    [{ ...mistralJson, hidden_act: 'gelu' }, 'unsupported hidden_act: "gelu"; expected "silu"; use'],
    [{ ...mistralJson, quantization_config: { bits: 4 } }, 'unsupported quantization_config: {"bits":4};'],
    [
      { ...mistralJson, hidden_size: null },
      'invalid hidden_size: null; expected a whole number from 1 to 131072; correct',
    ],
    [
      without(mistralJson, 'num_key_value_heads'),
      'invalid num_key_value_heads: 8; expected a divisor of num_attention_heads (2), which is what a missing one means',
    ],
    [
      { ...mistralJson, quantization: { bits: 4 } },
      'unsupported quantization: {"bits":4}; expected weights in bf16',
    ],
    [
      { ...mistralJson, sliding_window: 16, layer_types: ['full_attention'] },
      'unsupported layer_types: ["full_attention"]; expected 1 times "sliding_attention", beside a sliding_window of 16',
    ],
    [
      { ...mistralJson, layer_types: ['sliding_attention', 'full_attention'] },
      'unsupported layer_types: ["sliding_attention","full_attention"]; expected 1 times "full_attention"',
    ],
    [
      { ...llamaJson, layer_types: ['full_attention', 'full_attention'] },
      'unsupported layer_types: ["full_attention","full_attention"]; expected 1 times "full_attention"',
    ],
    [
      { ...llamaJson, rope_parameters: { full_attention: { rope_type: 'default' } } },
      'rope_parameters: unsupported full_attention: {"rope_type":"default"}; expected the same parameters for all',
    ],
    [{ ...mistralJson, num_hidden_layers: 0 }, 'invalid num_hidden_layers: 0; expected'],
    [{ ...mistralJson, num_hidden_layers: 1.5 }, 'invalid num_hidden_layers: 1.5; expected'],
    [{ ...mistralJson, num_hidden_layers: '4' }, 'invalid num_hidden_layers: "4"; expected'],
    [{ ...mistralJson, vocab_size: 1e300 }, 'invalid vocab_size: 1e+300; expected'],
    [
      { ...mistralJson, num_attention_heads: 3, num_key_value_heads: 2 },
      'invalid num_key_value_heads: 2; expected a divisor',
    ],
    [
      { ...mistralJson, num_attention_heads: 3, num_key_value_heads: 3 },
      'invalid num_attention_heads: 3; expected hidden_size (4)',
    ],
    [{ ...mistralJson, head_dim: 3 }, 'invalid head_dim: 3; expected an even number'],
    [
      { ...mixtralJson, num_experts_per_tok: 9 },
      'invalid num_experts_per_tok: 9; expected a whole number from 1 to 8',
    ],
    [{ ...mistralJson, rms_norm_eps: -1 }, 'invalid rms_norm_eps: -1; expected a number'],
    [{ ...mistralJson, rope_theta: 0 }, 'invalid rope_theta: 0; expected a number'],
    [
      { ...mistralJson, tie_word_embeddings: 'yes' },
      'invalid tie_word_embeddings: "yes"; expected true or false',
    ],
    [{ ...mistralJson, eos_token_id: -1 }, 'invalid eos_token_id: -1; expected a token id'],
    [
      { ...llamaJson, rope_scaling: { type: 'spiral' } },
      'unsupported rope_scaling.rope_type: "spiral"; expected default, linear, dynamic, yarn, longrope or llama3; use',
    ],
    [
      { ...llamaJson, rope_scaling: { type: 'yarn' } },
      'rope_scaling: invalid factor: missing; expected a number',
    ],
    [
      { ...llamaJson, rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1, 2] } },
      'rope_scaling: invalid long_factor: [1,2]; expected 1 positive numbers, half as many as a head has channels',
    ],
    [{ ...llamaJson, rope_scaling: 8 }, 'invalid rope_scaling: 8; expected an object'],
    [
      { ...llamaJson, rope_scaling: { ...llama3, rope_type: 'llama3', high_freq_factor: 1 } },
      'rope_scaling: invalid high_freq_factor: 1; expected more than low_freq_factor (1)',
    ],
  ])('refuses %j', (json, message) => {
    const parseIt = () => parse(json, 'a/config.json');
    expect(parseIt).toThrow(UserError);
    expect(parseIt).toThrow(`a/config.json: ${message}`);
  });
});

describe('two fields that contradict each other', () => {
  const scaled = { ...llama3, rope_type: 'llama3' };

  it.each([
    [
      'rope_scaling beside rope_parameters',
      { ...llamaJson, rope_scaling: scaled, rope_parameters: { rope_type: 'default', rope_theta: 10000 } },
      { ropeScaling: llama3Parsed },
      [
        'rope_scaling (theta 10000, llama3 {',
        ') contradicts rope_parameters (theta 10000, default); rope_scaling holds',
      ],
    ],
    [
      'a theta that only rope_parameters has, beside rope_scaling',
      {
        ...without(llamaJson, 'rope_theta'),
        ...{ rope_scaling: scaled, rope_parameters: { ...scaled, rope_theta: 5e5 } },
      },
      { ropeTheta: 1e4 },
      ['rope_scaling (theta 10000, ', 'contradicts rope_parameters (theta 500000'],
    ],
    [
      'a theta inside and another outside',
      { ...llamaJson, rope_parameters: { rope_type: 'default', rope_theta: 5e5 } },
      { ropeTheta: 5e5 },
      ['rope_theta 10000 contradicts the 500000 of rope_parameters; the latter holds'],
    ],
    [
      'rope_type and type',
      { ...llamaJson, rope_scaling: { ...scaled, type: 'yarn' } },
      { ropeScaling: llama3Parsed },
      ['rope_scaling: rope_type "llama3" contradicts type "yarn"; rope_type holds'],
    ],
    [
      'the original length inside and outside',
      { ...llamaJson, rope_scaling: scaled, original_max_position_embeddings: 16 },
      { ropeScaling: { ...llama3Parsed, originalMaxPositions: 16 } },
      ['original_max_position_embeddings 16 contradicts the 32'],
    ],
    [
      'num_local_experts and num_experts',
      { ...mixtralJson, num_experts: 4 },
      { numExperts: 4 },
      ['num_local_experts 8 contradicts num_experts 4; num_experts holds'],
    ],
    [
      'model_type and architectures',
      { ...mistralJson, architectures: ['LlamaForCausalLM'] },
      { architecture: 'mistral' },
      ['model_type mistral contradicts architectures ["LlamaForCausalLM"]; model_type holds'],
    ],
    [
      'sliding_window and use_sliding_window',
      { ...mistralJson, sliding_window: 16, use_sliding_window: false },
      { slidingWindow: 16 },
      ['use_sliding_window false contradicts sliding_window 16; the window holds'],
    ],
  ])('%s: settled as in transformers, and said', (_, json, expected, texts) => {
    const warnings: string[] = [];
    expect(parse(json, 'a/config.json', (text) => warnings.push(text))).toMatchObject(expected);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^a\/config\.json: .*, as transformers 5 does$/);
    for (const text of texts) expect(warnings[0]).toContain(text);
  });

  it.each([
    ['equal ones', { ...llamaJson, rope_scaling: scaled, rope_parameters: { ...scaled, rope_theta: 10000 } }],
    ['an empty one', { ...llamaJson, rope_scaling: {}, rope_parameters: { rope_type: 'default' } }],
    ['the same number of experts', { ...mixtralJson, num_experts: 8 }],
  ])('no word about %s', (_, json) => {
    parse(json, 'config.json', (text) => expect.fail(text));
  });
});

it.each([
  [null, null],
  [{}, null],
  [{ eos_token_id: null }, null],
  [{ eos_token_id: 7 }, [7]],
  [{ eos_token_id: [7, 8] }, [7, 8]],
])('parseEosTokenIds(%j) is %j', (json, expected) => {
  expect(parseEosTokenIds(json, 'generation_config.json')).toEqual(expected);
});
