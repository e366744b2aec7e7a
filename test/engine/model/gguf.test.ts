import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  inflateCheckpoint,
  loadReferenceWeights,
  loadTokenizer,
  openCheckpoint,
  readTensor,
  referenceGreedy,
  runEngine,
} from '@specoffload/engine';
import { plainCodecs } from '@specoffload/native';
import { describe, expect, it } from 'vitest';
import { writeTinyCheckpoint } from '../tiny.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from '../vulkan.js';
import { createTemporaryDirectory } from './fixtures.js';
import {
  asF32,
  asQ8_0,
  type Conversion,
  type Entry,
  encodeGguf,
  flag,
  type GgufTensor,
  real,
  reals,
  type Store,
  text,
  texts,
  whole,
  wholes,
  writeGguf,
} from './gguf.js';
import { goldenDirectory, readGolden } from './golden.js';

const directory = createTemporaryDirectory();

const conversions: Readonly<Record<string, Conversion>> = {
  'llama-headdim': { architecture: 'llama', isPaired: true },
  'mistral-full': { architecture: 'llama', isPaired: true },
  mixtral: { architecture: 'llama', isPaired: true },
  qwen2: { architecture: 'qwen2' },
  qwen3: { architecture: 'qwen3' },
  'qwen3-moe': { architecture: 'qwen3moe' },
  olmoe: { architecture: 'olmoe' },
  'gpt-oss': {
    architecture: 'gpt-oss',
    names: { postNorm: 'post_attention_norm.weight' },
    metadata: {
      'gpt-oss.attention.sliding_window': whole(16),
      'gpt-oss.rope.scaling.type': text('yarn'),
      'gpt-oss.rope.scaling.factor': real(32),
      'gpt-oss.rope.scaling.original_context_length': whole(64),
    },
  },
};

function fileOf(name: string): string {
  return join(directory, `${name}.gguf`);
}

describe.each(Object.keys(conversions))('%s as GGUF', (name) => {
  it('is the same model, weight by weight', async () => {
    await writeGguf(fileOf(name), goldenDirectory(name), conversions[name]);
    const [original, read] = await Promise.all(
      [goldenDirectory(name), fileOf(name)].map((path) => openCheckpoint(path)),
    );
    expect(read.spec.layers).toEqual(original.spec.layers);
    const { tied, scale } = original.spec.embedding;
    expect(read.spec).toMatchObject({ embedding: { tied, scale }, finalNorm: original.spec.finalNorm });
    expect(read.spec.eosTokenIds[0]).toBe(original.spec.eosTokenIds[0]);
    expect(read.parameters).toBe(original.parameters);
    const [expected, actual] = await Promise.all(
      [original, read].map((model) => loadReferenceWeights(model)),
    );
    const groups = (weights: typeof expected): (typeof expected)['embedding'][] => [
      ...[weights.embedding, weights.head],
      ...weights.layers.flatMap(({ attention, experts }) => [attention, ...experts]),
    ];
    expect(groups(actual)).toEqual(groups(expected));
  });
});

const tiny = {
  ...{ vocab_size: 61, hidden_size: 24, num_hidden_layers: 2, intermediate_size: 20, eos_token_id: 60 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2 },
};
const shared = {
  ...{ model_type: 'qwen2_moe', num_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 10 },
  shared_expert_intermediate_size: 20,
};

it.each<[string, object, Conversion]>([
  [
    'a shared expert',
    shared,
    {
      architecture: 'qwen2moe',
      metadata: { 'qwen2moe.expert_shared_feed_forward_length': whole(20) },
    },
  ],
  ['a shared expert of before there was a key for its width', shared, { architecture: 'qwen2moe' }],
  [
    'biases of a Llama',
    { model_type: 'llama', attention_bias: true, mlp_bias: true },
    { architecture: 'llama', isPaired: true },
  ],
])('takes %s', async (name, config, conversion) => {
  const weights = { dtype: 'bf16', seed: 5 } as const;
  const original = await writeTinyCheckpoint(directory, name, { ...tiny, ...config }, weights);
  await writeGguf(fileOf(name), original.directory, conversion);
  const read = await openCheckpoint(fileOf(name));
  expect(read.spec.layers).toEqual(original.spec.layers);
  const [expected, actual] = await Promise.all([original, read].map((model) => loadReferenceWeights(model)));
  expect(actual.layers).toEqual(expected.layers);
});

it('takes a Mixtral of before experts were stacked, a tensor for each, split in two', async () => {
  const [path, original] = [fileOf('mixtral-00001-of-00002'), goldenDirectory('mixtral')];
  await writeGguf(path, original, { ...conversions.mixtral, isByExpert: true, isSplit: true });
  const [expected, read] = await Promise.all([original, path].map((one) => openCheckpoint(one)));
  const { tensors } = read.layers[1].experts[2];
  expect(tensors[0].ref.name).toBe('blk.1.ffn_gate.2.weight');
  for (const [index, { ref }] of expected.layers[1].experts[2].tensors.entries())
    expect(await readTensor(tensors[index].ref)).toEqual(await readTensor(ref));
});

it('takes Gemma 3 with norms that the converter has raised by one', async () => {
  await writeGguf(fileOf('gemma3'), goldenDirectory('gemma3'), {
    ...{ architecture: 'gemma3', hasWholeNorms: true },
    names: { afterAttentionNorm: 'post_attention_norm.weight', afterFfnNorm: 'post_ffw_norm.weight' },
    metadata: {
      'gemma3.attention.sliding_window': whole(12),
      'gemma3.rope.scaling.type': text('linear'),
      'gemma3.rope.scaling.factor': real(8),
    },
  });
  const [original, read] = await Promise.all(
    [goldenDirectory('gemma3'), fileOf('gemma3')].map((path) => openCheckpoint(path)),
  );
  const [{ attention, norms }] = read.spec.layers;
  expect({ window: attention.window, scale: attention.scale, theta: attention.rope.theta }).toEqual({
    ...{ window: 12, scale: 32 ** -0.5, theta: 1e4 },
  });
  expect(Object.values(norms).map((norm) => norm?.offset)).toEqual([0, 0, 0, 0]);
  expect([read.spec.finalNorm.offset, read.spec.embedding]).toEqual([0, original.spec.embedding]);
  const [expected, actual] = await Promise.all([original, read].map((model) => loadReferenceWeights(model)));
  for (const [layer, { attention: weights }] of expected.layers.entries())
    for (const [role, values] of Object.entries(weights)) {
      const stored = actual.layers[layer].attention[role as keyof typeof weights];
      expect(stored, role).toEqual(/norm$/i.test(role) ? values.map((value) => value + 1) : values);
    }
});

it("takes Llama 3's divisors of frequencies from the file", async () => {
  const path = fileOf('llama3');
  const name = 'llama-headdim';
  await writeGguf(path, goldenDirectory(name), conversions[name]);
  const { spec } = await openCheckpoint(path);
  const { headDim } = spec.layers[0].attention;
  const factors = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 + i / 8);
  const extra = { name: 'rope_freqs.weight', shape: [headDim / 2], ...asF32(factors) };
  await writeGguf(path, goldenDirectory(name), { ...conversions[name], extra });
  const read = await openCheckpoint(path);
  expect(read.spec.layers[0].attention.rope.scaling).toMatchObject({
    type: 'longrope',
    shortFactors: [...factors],
  });
  expect(read.parameters).toBe((await openCheckpoint(goldenDirectory(name))).parameters);
});

describe('inflated', () => {
  const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
  const sevenLayers = { layers: 7, seed: 1 };
  const sourceOf = async (name: string, store?: Store) => {
    const path = fileOf(`small-${name}-00001-of-00002`);
    await writeGguf(path, goldenDirectory(name), { ...conversions[name], isSplit: true }, store);
    return openCheckpoint(path);
  };

  it.each<[string, Store | undefined]>([
    ['mixtral', (role, values) => (role === 'router' ? asF32(values) : asQ8_0(values))],
    ['gpt-oss', undefined], // every second layer has a window, by its number
  ])('%s writes the same tokens, its blocks kept as stored', async (name, store) => {
    const source = await sourceOf(name, store);
    const target = fileOf(`large-${name}`);
    const inflated = await inflateCheckpoint({ source, targetDirectory: target, ...sevenLayers });
    expect(inflated.spec.layers).toHaveLength(7);
    expect(inflated.spec.layers.map(({ attention }) => attention.window)).toEqual(
      Array.from({ length: 7 }, (_, layer) => source.spec.layers[layer % 2].attention.window),
    );
    const { prompts } = readGolden(name);
    const ids = prompts.slice(1, 3).map((prompt) => prompt.ids);
    const weights = await loadReferenceWeights(source);
    const expected = ids.map((prompt) => referenceGreedy(weights, prompt, 6).ids);
    const run = await runEngine({
      ...{ target: inflated, draft: null, strategy: 'none', prompts: ids, maxNewTokens: 6, machine },
      policy: { pinnedLayers: 1, keptLayers: 2 },
    });
    expect(run.sequences.map((sequence) => sequence.ids)).toEqual(expected);
  });

  it('grows by layers alone, to a file', async () => {
    const source = await sourceOf('qwen2');
    const inflate = (targetDirectory: string, request: object) =>
      inflateCheckpoint({ source, targetDirectory, seed: 1, ...request });
    await expect(inflate(fileOf('wide'), { ffnSize: 4096 })).rejects.toThrow(
      'invalid ffnSize: 4096; expected',
    );
    await expect(inflate(join(directory, 'folder'), { layers: 4 })).rejects.toThrow(
      'expected a name that ends in .gguf',
    );
    await expect(inflate(fileOf('less'), { layers: 1 })).rejects.toThrow('since inflation only adds');
    const { bytes } = await inflate(fileOf('twice'), { bytes: 2 * source.bytes });
    expect(bytes / source.bytes).toBeGreaterThan(1.8);
  });
});

describe('a quantised file', () => {
  let target: Checkpoint;
  const prompts = readGolden('mixtral').prompts.map(({ ids }) => ids);

  it('is run from what is stored, under every order of its weights', async () => {
    const path = fileOf('mixtral-q8_0');
    await writeGguf(path, goldenDirectory('mixtral'), conversions.mixtral, (role, values) =>
      role === 'router' ? asF32(values) : asQ8_0(values),
    );
    target = await openCheckpoint(path);
    const matrices = [...target.tensors.values()].filter(({ dtype }) => dtype === 'q8_0');
    const [bytes, elements] = matrices.reduce(
      ([sum, count], { byteLength, numElements }) => [sum + byteLength, count + numElements],
      [0, 0],
    );
    expect(bytes / elements).toBe(34 / 32);
    const weights = await loadReferenceWeights(target);
    const expected = prompts.map((ids) => referenceGreedy(weights, ids, 12).ids);
    const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
    for (const [strategy, policy, device] of [
      ['none', { pinnedLayers: 0, keptLayers: 0 }, { kind: 'cpu' }],
      ['specoffload', { candidates: 2, decodeBatch: 2 }, { kind: 'cpu' }],
      ['fiddler', { hostExpertRows: 2 }, { kind: 'cpu' }],
      ...(whyNoVulkan === null
        ? ([['specoffload', { candidates: 2, decodeBatch: 2 }, watchedVulkan]] as const) // decoded in its kernels
        : []),
    ] as const) {
      const result = await runEngine({
        ...{ target, draft: strategy === 'specoffload' ? target : null, prompts, strategy },
        ...{ maxNewTokens: 12, machine, policy, device },
      });
      expect(result.sequences.map(({ ids }) => ids)).toEqual(expected);
    }
    expect(validationMessages()).toEqual([]);
  });
});

/** By role: the number of a type, elements and bytes of a block, and where it has fp16 scales of which size. */
const blocks: Readonly<
  Record<string, readonly [type: number, elements: number, bytes: number, scales: number[][]]>
> = {
  q: [
    12,
    256,
    144,
    [
      [0, 2e-4],
      [2, 1e-3],
    ],
  ],
  k: [
    13,
    256,
    176,
    [
      [0, 1e-4],
      [2, 1e-3],
    ],
  ],
  v: [14, 256, 210, [[208, 2e-5]]],
  o: [2, 32, 18, [[0, 0.01]]],
  gate: [
    3,
    32,
    20,
    [
      [0, 0.01],
      [2, -0.08],
    ],
  ],
  up: [6, 32, 22, [[0, 0.005]]],
  down: [
    7,
    32,
    24,
    [
      [0, 0.005],
      [2, -0.08],
    ],
  ],
  embedding: [
    12,
    256,
    144,
    [
      [0, 2e-3],
      [2, 0.01],
    ],
  ],
  head: [39, 32, 17, []],
};

it('of blocks of every kind is run from what is stored', async () => {
  const config = {
    ...{
      model_type: 'llama',
      vocab_size: 64,
      hidden_size: 256,
      intermediate_size: 256,
      num_hidden_layers: 2,
    },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64, eos_token_id: 63 },
  };
  const plain = await writeTinyCheckpoint(directory, 'blocks', config, { dtype: 'bf16', seed: 3 });
  const random = createRandom(3, 'blocks');
  const path = fileOf('blocks');
  await writeGguf(path, plain.directory, { architecture: 'llama', isPaired: true }, (role, values) => {
    const [type, elements, size, scales] = blocks[role];
    const count = values.length / elements;
    const bytes = Uint8Array.from({ length: count * size }, () => random.uint32());
    for (let block = 0; block < count; block += 1) {
      for (const [at, scale] of scales)
        bytes.set(plainCodecs.f16.encode(Float32Array.of(scale)), block * size + at);
      if (type === 39) bytes[block * size] = 120;
    }
    return { type, bytes };
  });
  const target = await openCheckpoint(path);
  expect(new Set([...target.tensors.values()].map(({ dtype }) => dtype)).size).toBe(9);
  const prompts = [[1, 2, 3, 4, 5], [7]];
  const weights = await loadReferenceWeights(target);
  const expected = prompts.map((ids) => referenceGreedy(weights, ids, 10).ids);
  const run = await runEngine({
    ...{ target, draft: null, strategy: 'none', prompts, maxNewTokens: 10 },
    ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, policy: { pinnedLayers: 1, keptLayers: 0 } },
  });
  expect(run.sequences.map(({ ids }) => ids)).toEqual(expected);
});

const vocabulary = ['<unk>', '<s>', '</s>', '▁', 'a', 'b', '▁a', 'ab', '▁ab', '<0x0A>', '<0xC3>', '<0xA4>'];
const types = [2, 3, 3, 1, 1, 1, 1, 1, 1, 6, 6, 6];
const spm: Record<string, Entry> = {
  'tokenizer.ggml.model': text('llama'),
  'tokenizer.ggml.tokens': texts(vocabulary),
  'tokenizer.ggml.token_type': wholes(types),
  'tokenizer.ggml.scores': reals([0, 0, 0, -1, -2, -3, -1.5, -1.7, -1.2, 0, 0, 0]),
  'tokenizer.ggml.bos_token_id': whole(1),
  'tokenizer.ggml.eos_token_id': whole(2),
  'tokenizer.ggml.unknown_token_id': whole(0),
};
const bpeTokens = ['<|end|>', 'a', 'b', 'Ġ', '1', '2', 'ab', 'Ġab', '12', 'Ċ'];
const bpe: Record<string, Entry> = {
  'tokenizer.ggml.model': text('gpt2'),
  'tokenizer.ggml.pre': text('smollm'),
  'tokenizer.ggml.tokens': texts(bpeTokens),
  'tokenizer.ggml.token_type': wholes([3, ...Array<number>(9).fill(1)]),
  'tokenizer.ggml.merges': texts(['a b', 'Ġ ab', '1 2']),
  'tokenizer.ggml.eos_token_id': whole(0),
};

function write(name: string, metadata: Record<string, Entry>, tensors: readonly GgufTensor[] = []): string {
  const path = join(directory, `${name}.gguf`);
  writeFileSync(path, encodeGguf(metadata, tensors));
  return path;
}

describe("a file's own tokenizer", () => {
  it('reads SentencePiece by its scores, begins texts, and spells what is no token in bytes', async () => {
    const tokenizer = (await loadTokenizer(write('spm', spm)))!;
    expect(tokenizer.encode('ab ab')).toEqual([1, 8, 8]);
    expect(tokenizer.encode('ba')).toEqual([1, 3, 5, 4]);
    expect(tokenizer.encode('ä')).toEqual([1, 3, 10, 11]);
    expect(tokenizer.decode([1, 8, 6, 2])).toBe('ab a');
    const bare = {
      ...spm,
      'tokenizer.ggml.add_space_prefix': flag(false),
      'tokenizer.ggml.add_bos_token': flag(false),
    };
    const gemma = (await loadTokenizer(write('spm-bare', bare)))!;
    expect(gemma.encode('ab ab')).toEqual([7, 8]);
    expect(gemma.decode([8])).toBe(' ab');
  });

  it('reads byte-level BPE, cut as its name says', async () => {
    const tokenizer = (await loadTokenizer(write('bpe', bpe)))!;
    expect(tokenizer.encode('ab ab12<|end|>\n')).toEqual([6, 7, 4, 5, 0, 9]);
    expect(tokenizer.decode([6, 7, 4, 0])).toBe('ab ab1');
    const other = (await loadTokenizer(write('bpe-2', { ...bpe, 'tokenizer.ggml.pre': text('llama-bpe') })))!;
    expect(other.encode('ab12')).toEqual([6, 8]);
    const bytes = { 'tokenizer.ggml.tokens': texts(['Ã', '©']), 'tokenizer.ggml.merges': texts([]) };
    const composing: Record<string, Entry> = { ...bpe, ...bytes, 'tokenizer.ggml.pre': text('qwen2') };
    composing['tokenizer.ggml.token_type'] = wholes([1, 1]);
    const qwen = (await loadTokenizer(write('bpe-3', composing)))!;
    expect(qwen.encode('e\u0301'), 'a letter and its accent are one').toEqual([0, 1]);
  });

  it.each<[string, Record<string, Entry>, string]>([
    [
      'an unknown kind',
      { 'tokenizer.ggml.model': text('t5') },
      'invalid tokenizer.ggml.model: "t5"; expected gpt2 or llama',
    ],
    [
      'an unknown way of cutting',
      { 'tokenizer.ggml.pre': text('new') },
      'invalid tokenizer.ggml.pre: "new"; expected one of gpt-2',
    ],
    [
      'no tokens',
      { 'tokenizer.ggml.tokens': whole(3) },
      'invalid tokenizer.ggml.tokens: 3; expected a list of texts',
    ],
    ['a merge of one', { 'tokenizer.ggml.merges': texts(['ab']) }, 'expected pairs of tokens, not "ab"'],
    ['an end beyond its tokens', { 'tokenizer.ggml.eos_token_id': whole(99) }, 'expected one of 10 tokens'],
  ])('is refused with %s', async (_, change, message) => {
    await expect(loadTokenizer(write('bad', { ...bpe, ...change }))).rejects.toThrow(message);
  });
});

describe('a malformed file', () => {
  const tensor = (change: Partial<GgufTensor> = {}): GgufTensor => ({
    ...{ name: 'token_embd.weight', shape: [4, 32], type: 0, bytes: new Uint8Array(512) },
    ...change,
  });
  const llama = { 'general.architecture': text('llama') };
  const file = encodeGguf(llama, [tensor()]);
  const patched = (at: number, bytes: readonly number[]) => {
    const copy = Buffer.from(file);
    copy.set(bytes, at);
    return copy;
  };
  const huge = [255, 255, 255, 255, 255, 255, 255, 127];

  it.each<[string, Buffer, string]>([
    ['no GGUF', Buffer.from('PK\x03\x04 whatever'), 'is no GGUF file; download it again'],
    ['empty', Buffer.alloc(0), 'ended inside its header, after 0 bytes; it was cut short'],
    ['cut in its header', file.subarray(0, 60), 'ended inside its header, after 60 bytes'],
    ['cut in its data', file.subarray(0, file.length - 64), '"token_embd.weight" would end at'],
    ['of version 1', patched(4, [1]), 'unsupported GGUF version: 1; expected 2 or 3'],
    ['big-endian', patched(4, [0, 0, 0, 3]), 'unsupported GGUF version: 50331648'],
    [
      'of countless tensors',
      patched(8, huge),
      'invalid number of tensors: 9223372036854776000; expected at most',
    ],
    ['of countless entries', patched(16, huge), 'invalid number of metadata entries: 9223372036854776000'],
    ['with an endless key', patched(24, huge), 'invalid length of a key: 9223372036854776000'],
    [
      'of an unknown architecture',
      encodeGguf({ 'general.architecture': text('mamba') }, [tensor()]),
      'invalid general.architecture: "mamba"; expected llama, qwen2',
    ],
    [
      'without architecture',
      encodeGguf({}, [tensor()]),
      'invalid general.architecture: nothing; expected a text',
    ],
    [
      'of another type',
      encodeGguf(llama, [tensor({ type: 10 })]),
      'unsupported type of "token_embd.weight": Q2_K; expected one of F32',
    ],
    [
      'of a type from the future',
      encodeGguf(llama, [tensor({ type: 99 })]),
      'unsupported type of "token_embd.weight": type 99',
    ],
    [
      'of half a block',
      encodeGguf(llama, [tensor({ shape: [4, 48], type: 8 })]),
      'has the shape [4,48], which Q8_0 cannot have (blocks of 32)',
    ],
    ['without rows', encodeGguf(llama, [tensor({ shape: [0, 32] })]), 'has the shape [0,32]'],
    [
      'with a tensor twice',
      encodeGguf(llama, [tensor(), tensor()]),
      'holds "token_embd.weight" a second time',
    ],
    [
      'without sizes',
      encodeGguf(llama, [tensor()]),
      'invalid llama.attention.head_count: nothing; expected a number',
    ],
    [
      'split',
      encodeGguf({ ...llama, 'split.count': whole(3) }, [tensor()]),
      'a part of a file split into 3; expected the first part',
    ],
  ])('%s is refused in one sentence', async (_, bytes, message) => {
    const path = join(directory, 'malformed.gguf');
    writeFileSync(path, bytes);
    await expect(openCheckpoint(path)).rejects.toThrow(message);
    await expect(openCheckpoint(path)).rejects.toThrow('malformed.gguf');
  });
});
