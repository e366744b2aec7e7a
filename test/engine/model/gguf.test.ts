import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  loadReferenceWeights,
  loadTokenizer,
  openCheckpoint,
  referenceGreedy,
  runEngine,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
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
  reals,
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
