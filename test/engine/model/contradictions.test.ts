/** Files of a model that contradict themselves or each other: settled as transformers or llama.cpp settle them and said, or refused. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  loadChatTemplate,
  loadTokenizer,
  openCheckpoint,
  openConfiguration,
  parseModelSpec,
  readPublishedSampling,
  readSafetensors,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  createHeader,
  createTemporaryDirectory,
  encodeSafetensors,
  mistralJson,
  writeDirectory,
} from './fixtures.js';
import { asF32, type Entry, flag, real, text, texts, whole, writeGguf } from './gguf.js';
import { goldenDirectory } from './golden.js';

const root = createTemporaryDirectory();

/** What a process is told once, on the channel that Node has for it. */
async function warningsOf<Result>(work: () => Promise<Result>): Promise<{ result: Result; told: string[] }> {
  const told: string[] = [];
  const listen = (warning: Error) => told.push(warning.message);
  process.on('warning', listen);
  try {
    const result = await work();
    await new Promise(setImmediate);
    return { result, told };
  } finally {
    process.off('warning', listen);
  }
}

describe('of Gemma 3, with a base of its own for each kind of layer', () => {
  const json = {
    ...{ model_type: 'gemma3_text', vocab_size: 6, hidden_size: 4, intermediate_size: 8, head_dim: 2 },
    ...{ num_hidden_layers: 6, num_attention_heads: 2, num_key_value_heads: 1, rope_theta: 1e6 },
  };
  const nested = (full: object) => ({
    rope_parameters: { full_attention: full, sliding_attention: { rope_type: 'default', rope_theta: 1e4 } },
  });

  it.each<[string, object, object, string[]]>([
    [
      'fields of rope_scaling go over nested ones, the others stay',
      {
        ...nested({ rope_type: 'linear', factor: 2, rope_theta: 1e6 }),
        rope_scaling: { rope_type: 'linear', factor: 8 },
      },
      { theta: 1e6, scaling: { type: 'linear', factor: 8 } },
      ['rope_scaling.factor 8 contradicts the 2 of rope_parameters.full_attention; the former holds'],
    ],
    [
      'a nested base goes over an outer one',
      nested({ rope_type: 'default', rope_theta: 5e5 }),
      { theta: 5e5, scaling: null },
      ['rope_theta 1000000 contradicts the 500000 of rope_parameters.full_attention; the latter holds'],
    ],
    [
      'equal ones say nothing',
      nested({ rope_type: 'default', rope_theta: 1e6 }),
      { theta: 1e6, scaling: null },
      [],
    ],
  ])('%s', (_, rope, expected, texts) => {
    const told: string[] = [];
    const { layers } = parseModelSpec({ ...json, ...rope }, 'config.json', (warning) => told.push(warning));
    expect(layers[5].attention.rope).toEqual(expected);
    expect(told).toEqual(texts.map((words) => `config.json: ${words}, as transformers 5 does`));
  });
});

it('is told without what a terminal obeys, wherever it stands', async () => {
  const path = join(root, 'a\u001b[31m.json');
  writeFileSync(path, JSON.stringify({ ...mistralJson, dtype: 'float32', torch_dtype: '\u001b[2J' }));
  const { told } = await warningsOf(() => openConfiguration(path));
  expect(told).toEqual([expect.stringContaining('a·[31m.json: dtype "float32" contradicts torch_dtype "')]);
  expect(told[0]).not.toContain('\u001b');
});

describe('what weights were saved as', () => {
  const open = (name: string, said: object) => {
    const path = join(root, `${name}.json`);
    writeFileSync(path, JSON.stringify({ ...mistralJson, ...said }));
    return openConfiguration(path);
  };

  it('is what dtype says, where torch_dtype says otherwise', async () => {
    const { result, told } = await warningsOf(() =>
      open('both', { dtype: 'torch.float32', torch_dtype: 'bfloat16' }),
    );
    expect(result.embedding.tensors[0].ref.dtype).toBe('f32');
    expect(told).toEqual([
      expect.stringContaining('dtype "torch.float32" contradicts torch_dtype "bfloat16"; dtype holds'),
    ]);
  });

  it.each([
    [{ dtype: 'float8' }, 'unsupported dtype: "float8"; expected bfloat16, float16 or float32'],
    [{ torch_dtype: { toString: null } }, 'unsupported torch_dtype: {"toString":null}; expected'],
  ])('is refused where nobody can read it: %j', async (said, message) => {
    await expect(open('unknown', said)).rejects.toThrow(message);
  });
});

it('tells of a single file of weights beside an index of others, and takes the file', async () => {
  const directory = writeDirectory(root, 'twice', {
    'config.json': mistralJson,
    'model.safetensors': encodeSafetensors(createHeader()),
    'model.safetensors.index.json': { weight_map: { a: 'other.safetensors' } },
  });
  const { result, told } = await warningsOf(() => openCheckpoint(directory));
  expect(result.tensors.size).toBe(12);
  expect(told).toEqual([
    expect.stringContaining('model.safetensors beside model.safetensors.index.json; the former'),
  ]);
});

it.each([7, ['x'], { format: 1 }])(
  'refuses metadata of a safetensors header that is no map of texts: %j',
  async (metadata) => {
    const path = join(root, 'metadata.safetensors');
    writeFileSync(path, encodeSafetensors(JSON.stringify({ __metadata__: metadata }), 0));
    await expect(readSafetensors(path)).rejects.toThrow(
      /: the header: invalid __metadata__.*; download the file again/,
    );
  },
);

it('tells of a token with two texts', async () => {
  const tokenizer = {
    ...{ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null },
    added_tokens: [{ id: 1, content: '<end>', special: true }],
    model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
  };
  const directory = writeDirectory(root, 'tokens', { 'tokenizer.json': tokenizer });
  const { told } = await warningsOf(() => loadTokenizer(directory));
  expect(told).toEqual([expect.stringContaining('token 1 is "b" and "<end>"; the latter holds')]);
});

it.each([
  ['another text', 'a', 'b', 1],
  ['the same', 'a', 'a\n', 0],
])('tells of a second chat template that is %s', async (name, inFile, inOptions, numTold) => {
  const directory = writeDirectory(root, `template-${name.replace(' ', '-')}`, {
    'chat_template.jinja': inFile,
    'tokenizer_config.json': { chat_template: inOptions },
  });
  const { result, told } = await warningsOf(() => loadChatTemplate(directory));
  expect(result?.text).toBe(inFile);
  expect(told).toHaveLength(numTold);
});

it.each([
  [{ do_sample: false, temperature: 0.6 }, ['do_sample false contradicts temperature 0.6; nothing is drawn']],
  [{ do_sample: false, temperature: 1, top_p: 1 }, []],
  [{ temperature: 0.6 }, []], // nobody says whether
])('tells of a generation_config.json that draws nothing by %j', async (json, words) => {
  const directory = writeDirectory(root, `generation-${Object.keys(json).join()}-${words.length}`, {
    'generation_config.json': json,
  });
  const { result, told } = await warningsOf(() => readPublishedSampling(directory));
  expect(result).toBeNull();
  expect(told).toEqual(words.map((each) => expect.stringContaining(each)));
});

describe('in a GGUF file', () => {
  const write = async (name: string, metadata: Record<string, Entry>, more = {}) => {
    const path = join(root, `${name}.gguf`);
    const conversion = { architecture: 'llama', isPaired: true, metadata, ...more };
    await writeGguf(path, goldenDirectory('llama-headdim'), conversion);
    return path;
  };
  const scalingOf = async (path: string) =>
    (await openCheckpoint(path)).spec.layers[0].attention.rope.scaling;

  it.each<[string, Record<string, Entry>, object | null]>([
    [
      'a factor without a type is linear',
      { 'llama.rope.scaling.factor': real(4) },
      { type: 'linear', factor: 4 },
    ],
    ['the former name of it too', { 'llama.rope.scale_linear': real(2) }, { type: 'linear', factor: 2 }],
    ['0 is none', { 'llama.rope.scale_linear': real(0) }, null],
    [
      'type none turns a factor off',
      { 'llama.rope.scaling.type': text('none'), 'llama.rope.scaling.factor': real(4) },
      null,
    ],
  ])('as llama.cpp takes rotary positions: %s', async (name, metadata, expected) => {
    expect(await scalingOf(await write(name.replaceAll(' ', '-'), metadata))).toEqual(expected);
  });

  it('refuses two ways of scaling rotary positions', async () => {
    const { spec } = await openCheckpoint(goldenDirectory('llama-headdim'));
    const half = spec.layers[0].attention.headDim / 2;
    const extra = { name: 'rope_freqs.weight', shape: [half], ...asF32(new Float32Array(half).fill(1)) };
    const path = await write('two-ways', { 'llama.rope.scaling.factor': real(4) }, { extra });
    await expect(openCheckpoint(path)).rejects.toThrow(
      'has rope_freqs.weight beside a rope.scaling of linear',
    );
  });

  it('refuses as many tokens as there are no rows for, and tells of another vocab_size', async () => {
    const few = await write('few', { 'tokenizer.ggml.tokens': texts(['a', 'b']) });
    await expect(openCheckpoint(few)).rejects.toThrow(
      /has 2 tokens in tokenizer\.ggml\.tokens and \d+ rows in token_embd/,
    );
    const other = await write('other', { 'llama.vocab_size': whole(7) });
    const { told } = await warningsOf(() => openCheckpoint(other));
    expect(told).toEqual([
      expect.stringMatching(/llama\.vocab_size 7 contradicts the \d+ rows of token_embd\.weight/),
    ]);
  });

  it.each<[Entry, string]>([
    [real(1.5), 'its alignment is 1.5'],
    [whole(24), 'its alignment is 24'],
    [flag(true), 'its alignment is true'],
  ])('refuses an alignment that is no power of two: %o', async (alignment, message) => {
    const path = await write('aligned', { 'general.alignment': alignment });
    await expect(openCheckpoint(path)).rejects.toThrow(message);
  });

  it('refuses parts that do not hold what the first promises', async () => {
    const name = 'parts-00001-of-00002';
    const path = await write(name, { 'split.tensors.count': whole(3) }, { isSplit: true });
    await expect(openCheckpoint(path)).rejects.toThrow(/promises 3 tensors in all its parts, which hold \d+/);
  });
});
