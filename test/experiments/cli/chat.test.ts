/** Text in, text out: what `run --prompt` and `chat` say, in a process as a user has it. */

import { spawn } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pairPaths, projectDirectory } from '../../../experiments/src/paths.js';
import { createTemporaryDirectory } from '../../engine/model/fixtures.js';
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

  it.each([
    [['--prompt', 'a', '--prompts', 'code'], '--prompt and --prompts contradict each other'],
    [['--system', 'a'], '--system is for --chat'],
    [['--prompt', 'a', '--chat'], 'has no chat template'],
    [['--stop', ''], 'invalid --stop: ""'],
    [['--top-p', '2'], 'invalid topP: 2; expected a number from 0 to 1'],
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
    const args = ['--target', target, '--new-tokens', '6', '--system', 'Be short.', '--json'];
    const { stdout, exitCode } = await chat([...args, '--stop', '\n'], 'Hello\nAgain\n');
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
      ]),
    );
    expect(JSON.parse(direct).completion).toBe(said[2]);
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
