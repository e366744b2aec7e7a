/** `specoffload run` and `model …` as a user has them: the shipped pair, the real engine, child processes where runs are stored. */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pairPaths, projectDirectory } from '../../../experiments/src/paths.js';
import { type MeasuredRecord, parseRunRecord } from '../../../experiments/src/store/index.js';
import { callCli, type Disturbance, runCli } from '../cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-cli-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const budgets = ['--device-memory', '128MB', '--host-memory', '64MB'];

async function runJson(
  args: readonly string[],
  cli = callCli,
): Promise<{ folder: string; record: MeasuredRecord }> {
  const { exitCode, stdout, stderr } = await cli(['run', ...budgets, ...args, '--json']);
  expect(exitCode, stderr).toBe(0);
  const document = JSON.parse(stdout); // one document and nothing else
  return { ...document, record: parseRunRecord(document.record, 'stdout') as MeasuredRecord };
}

describe('run', () => {
  it('writes a record, a timeline and tokens, and prints them as one document', async () => {
    const results = join(folder, 'results');
    const args = ['--prompts', 'prose', '--num-prompts', '2', '--new-tokens', '6', '--results', results];
    // As a process of its own, the others within this one.
    const first = await runJson([...args, '--strategy', 'none'], runCli);
    const second = await runJson([...args, '--strategy', 'serial', '--candidates', '3']);
    const third = await runJson([...args, '--strategy', 'serial', '--candidates', '3']);

    expect(second.record.policy.candidates).toBe(3);
    expect(second.record.result.outputDigest).toBe(first.record.result.outputDigest);
    expect(first.record.model.draft).toBeNull();
    expect([second.record.repeat, third.record.repeat]).toEqual([0, 1]);
    expect((await readdir(join(results, 'run'))).sort()).toEqual(
      [first, second, third].map(({ record }) => record.key).sort(),
    );
    expect((await readdir(first.folder)).sort()).toEqual(['run.json', 'tokens.jsonl', 'trace.json.gz']);
    expect(JSON.parse(await readFile(join(first.folder, 'run.json'), 'utf8'))).toEqual(first.record);
    const [line] = (await readFile(join(first.folder, 'tokens.jsonl'), 'utf8')).split('\n');
    expect(JSON.parse(line!)).toMatchObject({ prompt: 0, text: expect.any(String) });
  });

  it('says for people what it found', async () => {
    const { exitCode, stdout } = await callCli(
      ['run', ...budgets, '--num-prompts', '1', '--new-tokens', '4', '--results', join(folder, 'people')], // prettier
    );
    expect(exitCode).toBe(0);
    for (const text of [
      'specoffload: 4 new tokens for 1 prompt in',
      'decode',
      'peak memory',
      'sample',
      'run.json',
    ])
      expect(stdout).toContain(text);
  });

  it('runs a checkpoint without a tokenizer on token ids', async () => {
    const bare = join(folder, 'bare');
    await mkdir(bare);
    for (const name of ['config.json', 'model.safetensors'])
      await writeFile(join(bare, name), await readFile(join(pairPaths.target, name)));
    const ids = join(folder, 'ids.jsonl');
    await writeFile(ids, '{"ids": [5, 6, 7]}\n');
    const args = [
      '--target',
      bare,
      '--strategy',
      'none',
      '--new-tokens',
      '2',
      '--results',
      join(folder, 'bare-results'),
    ];
    const { folder: recordFolder } = await runJson([...args, '--prompts', ids]);
    const tokens = JSON.parse(await readFile(join(recordFolder, 'tokens.jsonl'), 'utf8'));
    expect(tokens).not.toHaveProperty('text');

    const refused = await callCli(['run', ...args, '--prompts', 'code']);
    expect(refused.stderr).toContain('code.jsonl line 1 is text, but the target has no tokenizer.json');
    expect(refused.exitCode).toBe(1);
  });

  // Each case: what was typed, and the sentence that refuses it. All end with exit code 1 and no record.
  it.each<[string, string[], string]>([
    ['no such target', ['--target', 'nowhere'], 'nowhere'],
    ['no such prompts', ['--prompts', 'nowhere.txt'], 'cannot read prompts from nowhere.txt'],
    ['a budget too small', ['--device-memory', '1MB'], 'raise it to at least'],
    ['too many prompts', ['--num-prompts', '4000'], 'invalid --num-prompts: 4000; expected at most'],
    ['a context too short', ['--new-tokens', '1000000'], 'context'],
  ])('refuses %s in one sentence', async (_what, args, message) => {
    const results = join(folder, 'refused');
    const { exitCode, stdout, stderr } = await callCli(['run', ...args, '--results', results, '--json']);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^specoffload: (?!unexpected)/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(await readdir(results).catch(() => [])).toEqual([]);
  });

  it('shows the stack trace with --verbose', async () => {
    const { stderr } = await callCli(['run', '--target', 'nowhere', '--verbose']);
    expect(stderr).toMatch(/^\s+at /m);
  });

  it('stops at Ctrl-C with exit code 130, one sentence and nothing half-written', async () => {
    const results = join(folder, 'interrupted');
    // A pass reads 30 MB at 2 MB/s: the signal comes while lanes are at work.
    const slow = ['--disk-cap', '2MB/s', '--pinned-layers', '0', '--kept-layers', '0'];
    const args = ['run', ...slow, '--strategy', 'none', '--num-prompts', '1', '--results', results, '--json'];
    let isSent = false;
    const interrupt: Disturbance = {
      onStderr: 'new tokens each; target',
      delayMs: 1500,
      do: (kill) => {
        isSent = true;
        // Under npm a Ctrl-C arrives twice at once; that counts as one.
        kill('SIGINT');
        kill('SIGINT');
      },
    };
    const { exitCode, stdout, stderr } = await runCli(args, interrupt);
    expect(isSent).toBe(true);
    expect(stderr).toContain(
      'specoffload: interrupted; records finished before are intact, and nothing was left half-written\n',
    );
    expect([exitCode, stdout]).toEqual([130, '']);
    expect(await readdir(results)).toEqual([]);
  });
});

describe('start', () => {
  it('runs three strategies that write the same tokens, and the fastest of them packed', async () => {
    const results = join(folder, 'main');
    const { exitCode, stdout, stderr } = await runCli(['start', '--quick', '--json', '--results', results]);
    expect(exitCode, stderr).toBe(0);
    const { runs, checks } = JSON.parse(stdout);
    const records = (runs as { record: unknown }[]).map(
      ({ record }) => parseRunRecord(record, 'stdout') as MeasuredRecord,
    );
    const [plain, packed] = [records.slice(0, 3), records[3]!];
    expect(plain.map(({ strategy }) => strategy)).toEqual(['none', 'serial', 'specoffload']);
    const speed = ({ result }: MeasuredRecord) => result.tokensPerSecond;
    expect(packed.strategy).toBe(plain.toSorted((one, other) => speed(other) - speed(one))[0]!.strategy);
    expect(records.map(({ model }) => model.target.format ?? 'bf16')).toEqual([
      'bf16',
      'bf16',
      'bf16',
      'bf16_packed',
    ]);
    expect(checks).toMatchObject(plain.map(() => ({ comparison: { numErrors: 0 } })));
    for (const { model, machine, result } of records) {
      expect(machine.memory.deviceBytes).toBe(Math.floor(plain[0]!.model.target.bytes / 4));
      expect(result.memory.device.peakBytes).toBeLessThanOrEqual(machine.memory.deviceBytes);
      expect(result.bytesMoved.disk).toBeGreaterThan(model.target.bytes); // it streams
    }
    expect(await readdir(join(results, 'main'))).toHaveLength(4);
    expect(stderr).toContain('x none'); // the table
  });
});

describe('model', () => {
  it('inspects', async () => {
    const { exitCode, stdout } = await callCli(['model', 'inspect', pairPaths.target, '--json']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'target', architecture: 'mixtral', numExperts: 8 });
  });

  it('inflates without changing the logits', async () => {
    const big = join(folder, 'big');
    const inflated = await callCli(
      ['model', 'inflate', '--source', pairPaths.target, '--target', big, '--bytes', '60MB', '--json'], // prettier
    );
    expect(inflated.exitCode, inflated.stderr).toBe(0);
    expect(JSON.parse(inflated.stdout).bytes).toBeGreaterThan(59e6);

    const ids = join(folder, 'prompts.json');
    await writeFile(ids, '[[5, 6, 7], [8]]');
    const [small, large] = await Promise.all(
      [pairPaths.target, big].map(async (target) => {
        const args = ['model', 'logits', '--target', target, '--ids', ids, '--json'];
        const { exitCode, stdout, stderr } = await callCli(args);
        expect(exitCode, stderr).toBe(0);
        return JSON.parse(stdout).logits as number[][];
      }),
    );
    expect(small!.map((row) => row.length)).toEqual(large!.map((row) => row.length));
    expect(small).toHaveLength(2);
    for (const [i, row] of small!.entries())
      for (const [id, logit] of row.entries()) expect(Math.abs(large![i][id] - logit)).toBeLessThan(1e-4);

    const again = await callCli([
      'model',
      'inflate',
      '--source',
      pairPaths.target,
      '--target',
      big,
      '--bytes',
      '60MB',
    ]);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toMatch(/^specoffload: .*big/);
  });

  it('refuses a draft with another vocabulary', async () => {
    const golden = join(projectDirectory, 'test', 'golden');
    const { exitCode, stderr } = await callCli(['run', '--draft', join(golden, 'mixtral')]);
    expect(stderr).toContain('expected the same');
    expect(exitCode).toBe(1);
  });
});
