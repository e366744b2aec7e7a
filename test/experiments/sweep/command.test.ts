/** `specoffload sweep` as a user has it: documents, refusals, exit codes, Ctrl-C. */

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callCli, runCli } from '../cli.js';

let folder: string;
const definition = {
  ...{ name: 'mine', question: 'Does the command work?', kind: 'simulated' },
  settings: { machine: 'env1', target: 'llama-3.2-1b', draft: 'none', strategy: 'none', maxNewTokens: 1 },
  axes: { prompts: [1, 2, 4], deviceMemory: ['1MB', '20GB'] },
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-sweep-cli-'));
  await writeFile(join(folder, 'mine.json'), JSON.stringify(definition));
  await writeFile(
    join(folder, 'mine.mjs'),
    `export default ${JSON.stringify({ ...definition, name: 'module' })}`,
  );
  await writeFile(join(folder, 'broken.json'), '{"name": ');
  await writeFile(join(folder, 'slip.json'), JSON.stringify({ ...definition, axes: { prompt: [1] } }));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const sweep = (file: string, ...args: string[]) =>
  callCli(['sweep', join(folder, file), '--results', join(folder, 'results'), ...args]);

describe('sweep', () => {
  it('lists its points and runs none', async () => {
    const { exitCode, stdout } = await sweep('mine.json', '--dry-run', '--filter', 'prompts > 1', '--json');
    expect(exitCode).toBe(0);
    const { points, runsPerPoint, expectedSeconds } = JSON.parse(stdout);
    expect([points.length, runsPerPoint]).toEqual([4, 1]);
    expect(expectedSeconds).toBeGreaterThan(0);
    expect(await readdir(folder)).not.toContain('results');
  });

  it('says beforehand how many runs a plan is, and how long they should take', async () => {
    const { stdout } = await sweep('mine.json', '--dry-run');
    expect(stdout).toMatch(/\n\d+ points, 1 run each, about [\d.]+ m?s; none was started\n$/);
  });

  it('prints one document, and for people the points with what no run can serve', async () => {
    const first = await sweep('mine.json', '--json', '--seeds', '1,2');
    expect(first.exitCode, first.stderr).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ stored: 6, isComplete: true, refused: [{}, {}, {}] });
    const second = await sweep('mine.json');
    expect(second.exitCode).toBe(0);
    expect(second.stdout).toContain('mine: 0 runs in');
    expect(second.stdout).toContain(
      'no run can serve 3 points\n  prompts 1, deviceMemory 1MB: the device memory',
    );
    const third = await sweep('mine.mjs', '--filter', 'deviceMemory == "20GB"');
    expect(third.stdout).toMatch(/module: 3 runs in .*\n\nprompts {2}deviceMemory {2}tokensPerSecond/);
  });

  // Each case: what was typed, the exit code, and the sentence that refuses it.
  it.each<[string, string[], number, string]>([
    ['nothing.json', [], 2, 'cannot read the experiment'],
    ['mine.ts', [], 2, 'unknown experiment'],
    ['broken.json', [], 1, 'broken.json is not valid JSON'],
    ['slip.json', ['--filter', 'prompts > 1'], 2, 'prompts has no value here'],
    ['mine.json', ['--filter', 'prompts = 1'], 2, 'it contains an assignment'],
    ['mine.json', ['--filter', 'prompts > 9'], 2, 'the filters leave no point'],
    ['mine.json', ['--seeds', '1;2'], 2, 'invalid --seeds: 1;2'],
    ['mine.json', ['--max-time', '10'], 2, 'invalid --max-time: 10; expected a time'],
    ['mine.json', ['--search', 'random'], 2, 'invalid --search: random'],
    ['mine.json', ['--repeats', '2'], 2, 'invalid repeats: 2'],
  ])('refuses %s %j', async (file, args, code, message) => {
    const { exitCode, stdout, stderr } = await sweep(file, ...args, '--json');
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^specoffload: (?!unexpected)/);
    expect([exitCode, stdout]).toEqual([code, '']);
  });

  it('stops at Ctrl-C with exit code 130, and goes on at the next start', async () => {
    const promptTokens = Array.from({ length: 3000 }, (_, i) => i + 1);
    const long = {
      ...definition,
      name: 'long',
      axes: { promptTokens },
      settings: { ...definition.settings, prompts: 1 },
    };
    await writeFile(join(folder, 'long.json'), JSON.stringify(long));
    const results = join(folder, 'results');
    const args = ['sweep', join(folder, 'long.json'), '--results', results];
    const { exitCode, stderr } = await runCli(args, {
      ...{ onStderr: '3,000 simulated runs', delayMs: 800 },
      do: (kill) => kill('SIGINT'),
    });
    expect(exitCode).toBe(130);
    expect(stderr).toContain('specoffload: interrupted; records finished before are intact');
    expect((await readdir(results)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
