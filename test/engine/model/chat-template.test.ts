/** Chat templates: where they are found, and what they cannot do; those of published tokenizers are in tokenizer.test.ts. */

import { loadChatTemplate, renderChats } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { createTemporaryDirectory, talk, user, writeDirectory } from './fixtures.js';

const root = createTemporaryDirectory();

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
