/** Text in, text out: what `run --prompt` and `chat` say, in a process as a user has it. */

import { spawn } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { localSettings } from '../../../experiments/src/inputs/caps.js';
import { openPair } from '../../../experiments/src/inputs/pair.js';
import { Conversation } from '../../../experiments/src/job/conversation.js';
import { pairPaths, projectDirectory } from '../../../experiments/src/paths.js';
import { createTemporaryDirectory } from '../../engine/model/fixtures.js';
import { type Entry, flag, real, text, texts, whole, wholes, writeGguf } from '../../engine/model/gguf.js';
import { goldenDirectory } from '../../engine/model/golden.js';
import { type CliResult, callCli } from '../cli.js';

const root = createTemporaryDirectory();
const cli = join(projectDirectory, 'experiments', 'bin', 'specoffload.js');

/** @param onText called once, when the first reply has begun; without it, nothing more can be typed */
function chat(
  args: readonly string[],
  typed: string,
  onText?: (interrupt: () => void) => void,
): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, 'chat', ...args], { cwd: projectDirectory });
    const said = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (said.stdout === '') onText?.(() => child.kill('SIGINT'));
      said.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said.stderr += text;
    });
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, ...said }));
    child.stdin.write(typed);
    if (!onText) child.stdin.end();
  });
}

/** The shipped draft with a template: small, and it answers something. */
function modelWithTemplate(): string {
  const directory = join(root, 'with-template');
  cpSync(pairPaths.draft, directory, { recursive: true });
  const template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant]";
  writeFileSync(join(directory, 'chat_template.jinja'), template);
  return directory;
}

/** Tokenizer, template and sampling as llama.cpp's converter writes them. */
function speechOf(directory: string): Record<string, Entry> {
  const { model } = JSON.parse(readFileSync(join(directory, 'tokenizer.json'), 'utf8'));
  const tokens = Object.entries<number>(model.vocab).sort(([, a], [, b]) => a - b);
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('gpt-2'),
    'tokenizer.ggml.tokens': texts(tokens.map(([token]) => token)),
    'tokenizer.ggml.token_type': wholes(tokens.map(([, id]) => (id === 0 ? 3 : 1))),
    'tokenizer.ggml.merges': texts(model.merges),
    'tokenizer.ggml.bos_token_id': whole(0),
    'tokenizer.ggml.add_bos_token': flag(false),
    'tokenizer.chat_template': text(readFileSync(join(directory, 'chat_template.jinja'), 'utf8')),
    'general.sampling.temp': real(0.5),
  };
}

describe('run', () => {
  const results = join(root, 'results');

  it('continues a prompt, and writes a line for programs that ends before a stop string', async () => {
    const run = (...args: string[]) =>
      callCli(['run', '--prompt', 'Once upon a time', '--new-tokens', '16', '--results', results, ...args]);
    const shown = await run('--strategy', 'serial');
    const { stdout, exitCode } = await run('--strategy', 'none', '--jsonl');
    expect(exitCode).toBe(0);
    const { prompt, completion, stopReason } = JSON.parse(stdout);
    expect({ prompt, stopReason }).toEqual({ prompt: 'Once upon a time', stopReason: 'length' });
    expect(shown.stdout.startsWith(completion), 'the text is streamed first').toBe(true);
    const stop = completion.slice(4, 7);
    const stopped = JSON.parse((await run('--jsonl', '--stop', stop)).stdout);
    expect(stopped.completion).toBe(completion.slice(0, completion.indexOf(stop)));
    expect(stopped.stopReason).toBe('stop');
  });

  it('takes prompt lookup where nobody named a draft and the shipped one has another vocabulary', async () => {
    const prompts = join(root, 'ids.jsonl');
    writeFileSync(prompts, '{"ids": [5, 6, 7, 5, 6, 7, 5]}');
    const args = ['--target', goldenDirectory('mixtral'), '--prompts', prompts, '--new-tokens', '6'];
    const run = (...more: string[]) => callCli(['run', ...args, ...more, '--results', results, '--json']);
    const { stdout, stderr } = await run();
    expect(stderr).toContain('the shipped draft has another vocabulary than mixtral: prompt lookup proposes');
    expect(JSON.parse(stdout).record.spec.drafter).toBe('prompt-lookup');
    const named = await run('--draft', pairPaths.draft);
    expect(named.stderr).toContain('have vocabularies of');
  });

  it.each([
    [['--prompt', 'a', '--prompts', 'code'], '--prompt and --prompts contradict each other'],
    [['--system', 'a'], '--system is for --chat'],
    [['--prompt', 'a', '--chat'], 'has no chat template'],
    [['--stop', ''], 'invalid --stop: ""'],
    [['--top-p', '2'], 'invalid --top-p: 2; expected a number from 0 to 1'],
  ])('refuses %o', async (args, sentence) => {
    const { exitCode, stderr } = await callCli(['run', ...args, '--results', results]);
    expect(exitCode).toBeGreaterThan(0);
    expect(stderr).toContain(sentence);
  });
});

describe('chat', () => {
  it('continues the text of a model without a template, and says so', async () => {
    const { stdout, stderr, exitCode } = await chat(
      ['--new-tokens', '8', '--jsonl'],
      'Once upon\n\nand then\n',
    );
    expect(stderr).toContain('has no chat template: it continues the text');
    const replies = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(replies.map(({ prompt }) => prompt)).toEqual(['Once upon', 'and then']);
    expect(exitCode).toBe(0);
  });

  it('writes messages by the template, the system first, and remembers what was said', async () => {
    const target = modelWithTemplate();
    const generation = { do_sample: true, temperature: 0.7, top_k: 20, top_p: null };
    writeFileSync(join(target, 'generation_config.json'), JSON.stringify(generation));
    const args = ['--target', target, '--new-tokens', '6', '--system', 'Be short.', '--json'];
    const { stdout, stderr, exitCode } = await chat([...args, '--stop', '\n'], 'Hello\nAgain\n');
    expect(stderr).toContain('generation_config.json says: temperature 0.7, topK 20;');
    expect(exitCode).toBe(0);
    const { messages } = JSON.parse(stdout);
    expect(messages.map(({ role }: { role: string }) => role)).toEqual([
      'system',
      'user',
      'assistant',
      'user',
      'assistant',
    ]);
    const said = messages.map(({ content }: { content: string }) => content);
    expect([said[0], said[1], said[3]]).toEqual(['Be short.', 'Hello', 'Again']);
    const template = '[system] Be short.\n[user] Hello\n[assistant]';
    const { stdout: direct } = await callCli(
      ['run', '--target', target, '--prompt', template, '--strategy', 'none', '--stop', '\n'].concat([
        '--new-tokens',
        '6',
        '--jsonl',
        '--results',
        join(root, 'direct'),
        ...['--temperature', '0.7', '--top-k', '20'],
      ]),
    );
    expect(JSON.parse(direct).completion).toBe(said[2]);
  });

  it('talks by the template, the tokenizer and the sampling of a GGUF file as by those of a folder', async () => {
    const folder = modelWithTemplate();
    rmSync(join(folder, 'generation_config.json'));
    const file = join(root, 'with-template.gguf');
    await writeGguf(file, folder, { architecture: 'llama', isPaired: true, metadata: speechOf(folder) });
    const said = async (target: string, ...sampling: string[]) => {
      const args = ['--target', target, '--new-tokens', '8', '--system', 'Be short.', '--jsonl', ...sampling];
      const { stdout, stderr } = await chat(args, 'Hello\nAgain\n');
      return { lines: stdout.trim().split('\n'), stderr };
    };
    const ofFile = await said(file);
    expect(ofFile.stderr).toContain('with-template.gguf says: temperature 0.5;');
    const ofFolder = await said(folder, '--temperature', '0.5');
    expect(ofFile.lines).toHaveLength(2);
    expect(ofFile.lines).toEqual(ofFolder.lines);
  });

  it('keeps the caches of a reply that Ctrl-C ended', async () => {
    const pair = await openPair(pairPaths.draft, null);
    const budgets = { deviceBytes: 64e6, hostBytes: 64e6 };
    const conversation = new Conversation({
      job: {
        ...{ ...pair, strategy: 'none', policy: {}, machine: localSettings(budgets) },
        ...{ maxNewTokens: 32, stopAtEos: true, seed: 0 },
      },
      ...{ template: null, system: null },
    });
    const [never, interrupted] = [new AbortController(), new AbortController()];
    const reply = (text: string, interrupt: AbortSignal) =>
      conversation.reply(text, { signal: never.signal, interrupted: interrupt }, () => interrupted.abort());
    try {
      const broken = await reply('Once upon a time', interrupted.signal);
      expect(broken.newTokens).toBeLessThan(32);
      const next = await reply(' and', never.signal);
      expect(next.heldTokens).toBeGreaterThanOrEqual(broken.promptTokens);
    } finally {
      await conversation.close();
    }
  });

  it('ends a reply at the first Ctrl-C, and the chat at the second', async () => {
    const { stdout, exitCode } = await chat(['--new-tokens', '400'], 'Once upon a time\n', (interrupt) => {
      interrupt();
      // What follows within half a second is the same key, passed on by npm.
      setTimeout(interrupt, 1000);
    });
    expect(exitCode).toBe(130);
    expect(stdout).toMatch(/\n$/);
  });
});
