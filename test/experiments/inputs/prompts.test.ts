import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadWorkload } from '../../../experiments/src/inputs/prompts.js';
import { fakeTokenizer } from '../fake-run.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-prompts-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function load(name: string, text: string | Buffer, tokenizer = true, numPrompts: number | null = null) {
  await writeFile(join(folder, name), text);
  const vocabulary = { size: 100, tokenizer: tokenizer ? fakeTokenizer : null };
  return loadWorkload(join(folder, name), numPrompts, vocabulary);
}

describe('loadWorkload', () => {
  it.each<[string, string, number[][]]>([
    [
      'a.txt',
      'abc\n\nde\r\n',
      [
        [0, 1, 2],
        [3, 4],
      ],
    ], // prettier
    [
      'a.jsonl',
      '{"prompt": "ab"}\n{"ids": [99, 0]}\n\n',
      [
        [0, 1],
        [99, 0],
      ],
    ],
    ['a.json', '[[1, 2], [3]]', [[1, 2], [3]]],
  ])('%s', async (name, text, prompts) => {
    expect(await load(name, text)).toEqual({ name: 'a', prompts });
  });

  it('takes ids where there is no tokenizer', async () => {
    expect((await load('a.jsonl', '{"ids": [5]}', false)).prompts).toEqual([[5]]);
  });

  it.each([
    ['a.txt', 'ab', [[0, 1]]],
    ['a.jsonl', '{"prompt": "ab"}', [[0, 1]]],
    ['a.json', '[[1, 2]]', [[1, 2]]],
  ])(
    'a byte-order mark is no part of %s, and other encodings than UTF-8 are refused',
    async (name, text, prompts) => {
      expect((await load(name, `\ufeff${text}`)).prompts).toEqual(prompts);
      await expect(load(name, Buffer.from(`${text}\u00e9`, 'latin1'))).rejects.toThrow(
        `${name} is not UTF-8 text; save it as UTF-8`,
      );
      await expect(load(name, Buffer.from(`\ufeff${text}`, 'utf16le'))).rejects.toThrow('is not UTF-8 text');
    },
  );

  it('takes the first so many', async () => {
    expect((await load('a.txt', 'a\nb\nc', true, 2)).prompts).toEqual([[0], [1]]);
  });

  it.each<[string, string, string]>([
    ['a.txt', '\n\n', 'holds no prompts; expected one per line'],
    ['a.jsonl', '{"prompt": "a"}\n{"prompt"', 'a.jsonl line 2 is not valid JSON'],
    ['a.jsonl', '\n[1, 2]', 'a.jsonl line 2: invalid content: [1,2]; expected an object; write {"prompt"'],
    ['a.jsonl', 'null', 'a.jsonl line 1: invalid content: null; expected an object'],
    [
      'a.jsonl',
      '{"text": "a"}',
      'a.jsonl line 1: invalid content: {"text":"a"}; expected either a prompt or ids',
    ],
    ['a.jsonl', '{"prompt": 5}', 'a.jsonl line 1: invalid prompt: 5; expected a text; write {"prompt"'],
    [
      'a.jsonl',
      '{"prompt": "a", "ids": [1]}',
      'expected either a prompt or ids; write {"prompt": "some text"} or {"ids',
    ],
    [
      'a.jsonl',
      '{"ids": [1]}\n{"ids": [1, 100]}',
      'a.jsonl line 2: invalid ids.1: 100; expected a whole number from 0 to 99',
    ],
    ['a.jsonl', '{"ids": [-1]}', 'invalid ids.0: -1'],
    ['a.jsonl', '{"ids": [1.5]}', 'invalid ids.0: 1.5'],
    ['a.jsonl', '{"ids": ["1"]}', 'invalid ids.0: "1"'],
    ['a.jsonl', '{"ids": []}', 'a.jsonl line 1: invalid ids: []; expected at least one token id'],
    ['a.jsonl', '{"prompt": ""}', 'a.jsonl line 1: invalid prompt: ""; expected a text'],
    [
      'a.json',
      '{"ids": [1]}',
      'a.json: invalid content: {"ids":[1]}; expected a list; write a list of lists of token ids',
    ],
    ['a.json', '[[1], [200]]', 'a.json prompt 1: invalid ids.0: 200'],
    ['a.csv', 'x', 'a.csv; expected a name that ends in .txt, .jsonl or .json'],
  ])('%s %j is refused', async (name, text, message) => {
    await expect(load(name, text)).rejects.toThrow(message);
  });

  it('names the line whose text needs a tokenizer', async () => {
    await expect(load('a.txt', '\nabc', false)).rejects.toThrow(
      'a.txt line 2 is text, but the target has no tokenizer.json',
    );
  });

  it('says what there is when a file is missing', async () => {
    await expect(loadWorkload('codes', null, { size: 100, tokenizer: null })).rejects.toThrow(
      'cannot read prompts from codes; expected a file, or one of code, prose, dialogue, reference',
    );
  });

  it('refuses more prompts than there are', async () => {
    await expect(load('a.txt', 'a\nb', true, 3)).rejects.toThrow(
      'invalid --num-prompts: 3; expected at most 2, which is all of',
    );
  });
});
