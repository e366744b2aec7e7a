/** Valid inputs that mutations start from, small where the format allows. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const results = fileURLToPath(new URL('../../results/reference', import.meta.url));

function firstRecord(experiment) {
  const folder = join(results, experiment);
  const key = readdirSync(folder).filter((name) => /^[0-9a-f]{16,64}$/.test(name))[0];
  return JSON.parse(readFileSync(join(folder, key, 'run.json'), 'utf8'));
}

function safetensors(header, dataBytes) {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

const [u32, u64, float] = [
  (value) => Buffer.from(Uint32Array.of(value).buffer),
  (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer),
  (value) => Buffer.from(Float32Array.of(value).buffer),
];
const ggufText = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const ggufList = (type, values, encode) =>
  Buffer.concat([u32(9), u32(type), u64(values.length), ...values.map(encode)]);

/** A file of one layer; its values need not mean anything. */
function gguf() {
  const sizes = { block_count: 1, context_length: 64, embedding_length: 32, feed_forward_length: 64 };
  const heads = { 'attention.head_count': 2, 'attention.head_count_kv': 1 };
  const tokens = ['<s>', 'a', 'b', 'ab'];
  const entries = [
    ['general.architecture', u32(8), ggufText('llama')],
    ...Object.entries({ ...sizes, ...heads }).map(([key, value]) => [`llama.${key}`, u32(4), u32(value)]),
    ['llama.attention.layer_norm_rms_epsilon', u32(6), float(1e-5)],
    ['tokenizer.ggml.model', u32(8), ggufText('gpt2')],
    ['tokenizer.ggml.pre', u32(8), ggufText('smollm')],
    ['tokenizer.ggml.tokens', ggufList(8, tokens, ggufText)],
    ['tokenizer.ggml.token_type', ggufList(4, [3, 1, 1, 1], u32)],
    ['tokenizer.ggml.merges', ggufList(8, ['a b'], ggufText)],
  ];
  const tensors = [
    ['token_embd.weight', [32, 4], 8, 0],
    ['output_norm.weight', [32], 0, 160],
  ];
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length)],
    ...entries.flatMap(([key, ...rest]) => [ggufText(key), ...rest]),
    ...tensors.flatMap(([name, shape, type, offset]) => [
      ...[ggufText(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)],
    ]),
  ]);
  return Buffer.concat([header, Buffer.alloc(31 + 320)]);
}

const event = (more) => ({
  ...{ ph: 'X', cat: 'expert', name: 'expert 0', pid: 1, tid: 0, ts: 10, dur: 5 },
  args: { id: 0, phase: 'decode', pass: 0, batch: 0, bytes: 8, rows: 1, flops: 2, waitedMicroseconds: 1 },
  ...more,
});

export const samples = {
  config: {
    ...{ model_type: 'llama', vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 128, rms_norm_eps: 1e-5 },
    ...{ rope_theta: 10000, eos_token_id: [2, 3], hidden_act: 'silu', tie_word_embeddings: true },
    rope_scaling: {
      ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
      original_max_position_embeddings: 64,
    },
  },
  acceptances: [
    { kind: 'rates', name: 'x', byPosition: [0.8, 0.7] },
    {
      kind: 'recorded',
      name: 'x',
      candidates: 4,
      newTokens: 3,
      sequences: [
        [4, 0, 2],
        [1, 1],
      ],
    },
  ],
  definitions: [
    {
      ...{ name: 'mine', question: 'How many?', kind: 'simulated', metric: 'seconds', lowerIsBetter: true },
      settings: {
        machine: 'env1',
        acceptance: 0.8,
        target: 'mistral-7b',
        promptTokens: 32,
        hostMemory: '24GB',
      },
      axes: {
        candidates: [2, 4, 8],
        system: [
          { label: 'a', settings: { strategy: 'serial' } },
          { label: 'b', settings: { strategy: 'none' } },
        ],
        'machine.link.bytesPerSecond': [1e9, '2GB/s'],
      },
      cases: [{ when: { system: 'b' }, settings: { prompts: 4 } }],
      derived: { prefillBatch: 'candidates * 2' },
      filters: ['candidates <= 8 or prefillBatch < 4'],
      baseline: { system: 'a' },
      seeds: [1, 2],
      quick: { axes: { candidates: [2] }, seeds: [1] },
    },
    {
      ...{ name: 'here', question: 'How fast?', kind: 'measured', repeats: 2, warmups: 0, predictOn: 'this' },
      settings: { target: 'pair', linkCap: '1GB/s', deviceCores: 1 },
      axes: { strategy: ['none', 'serial'] },
    },
  ],
  policyFile: {
    ...{ schema: 'specoffload-policy-1', strategy: 'serial', drafter: 'model' },
    policy: { speculation: 'serial', candidates: 4, decodeBatch: 16, cache: 'host', hostShare: 0.1 },
    plannedFor: {
      ...{
        machine: 'env1',
        deviceBytes: 6e9,
        hostBytes: 12e9,
        target: 'x',
        targetFormat: 'q4_k',
        draft: 'y',
      },
      ...{ prompts: 16, promptTokens: { least: 8, most: 64 }, maxNewTokens: 8, acceptance: null },
      tokensPerSecond: 42.5,
    },
  },
  settings: [
    {
      ...{
        strategy: 'none',
        target: 'x',
        prompts: 4,
        promptTokens: 8,
        deviceMemory: '24GB',
        hostMemory: 1e9,
      },
      ...{ acceptance: [0.8, 0.7], routingSkew: 0.5, unit: 'ffn', accounting: 'useful', candidates: 4 },
      ...{ 'machine.link.bytesPerSecond': 1e9, hostShare: 0.5 },
    },
  ],
  records: [firstRecord('wind-tunnel'), firstRecord('planner-grid')],
  trace: {
    traceEvents: [
      event({}),
      event({ ts: 20, tid: 0 }),
      { ph: 'C', name: 'device memory', ts: 1, args: { bytes: 5 } },
    ],
  },
  tokens: [0, 1]
    .map((prompt) =>
      JSON.stringify({
        prompt,
        promptIds: [1, 2],
        ids: [3, 4],
        margins: [0.5, 1],
        stopReason: 'length',
        text: 'x',
      }),
    )
    .join('\n'),
  notebook: {
    metadata: { kernelspec: { language: 'typescript', name: 'x', display_name: 'x' } },
    nbformat: 4,
    nbformat_minor: 5,
    cells: [
      { id: 'a', cell_type: 'markdown', metadata: {}, source: ['# A\n', '$x^2$ <b>b</b>'], attachments: {} },
      {
        ...{
          id: 'b',
          cell_type: 'code',
          metadata: { tags: ['parameters'] },
          source: 'let a = 1;',
          execution_count: 1,
        },
        outputs: [
          { output_type: 'stream', name: 'stdout', text: ['a\n'] },
          {
            output_type: 'execute_result',
            data: { 'text/plain': '1', 'text/html': '<i>1</i>' },
            metadata: {},
            execution_count: 1,
          },
          {
            output_type: 'display_data',
            data: { 'application/json': { a: 1 }, 'image/png': 'aaaa' },
            metadata: {},
          },
          { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['t'] },
        ],
      },
    ],
  },
  markdown: {
    ...{ metadata: {}, nbformat: 4, nbformat_minor: 5 },
    cells: [
      {
        id: 'a',
        cell_type: 'markdown',
        metadata: {},
        source: '[a](javascript:alert(1)) <img src=x onerror=alert(1)>',
      },
    ],
  },
  texts: [
    '# Title\n\n- a\n  - b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$$\\frac{1}{2}$$ and $x$\n\n```ts\nlet a = 1\n```\n',
    '[a](javascript:alert(1)) <a href="data:text/html,x">x</a> <svg onload=alert(1)> ![i](attachment:x.png) &#106;',
  ],
  safetensors: safetensors(
    {
      __metadata__: { format: 'pt' },
      a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
      b: { dtype: 'BF16', shape: [4], data_offsets: [16, 24] },
    },
    24,
  ),
  gguf: gguf(),
  tokenizer: {
    version: '1.0',
    ...{ truncation: null, padding: null, normalizer: null },
    added_tokens: [
      {
        id: 3,
        content: '<s>',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', dropout: null, unk_token: null, vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
  },
  prompts: {
    txt: Buffer.from('one\ntwo\n'),
    jsonl: Buffer.from('{"prompt": "a"}\n{"ids": [1, 2, 3]}\n'),
    json: Buffer.from('[[1, 2, 3], [4]]'),
  },
  connection: {
    ...{ transport: 'tcp', ip: '127.0.0.1', key: 'k', signature_scheme: 'hmac-sha256' },
    ...{ shell_port: 50001, iopub_port: 50002, stdin_port: 50003, control_port: 50004, hb_port: 50005 },
  },
};
