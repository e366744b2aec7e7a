import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunRecord, storeRun } from '../../../experiments/src/store/index.js';
import { type CliResult, callCli, runCli } from '../cli.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

const repeats = [0, 1].map((repeat) =>
  fakeRecord({
    axes: { system: 'Spec', batch: 8 },
    tokensPerSecond: 4 - repeat,
    repeat,
    experiment: 'sweep',
  }),
);
const slow = fakeRecord({
  axes: { system: 'Flex', batch: 64 },
  tokensPerSecond: 1,
  experiment: 'sweep',
  isDisturbed: true,
  run: { seed: 5 },
});
const predicted = fakePrediction({ axes: { system: 'Spec' }, tokensPerSecond: 9, experiment: 'what-if' });
const keys = { first: repeats[0].key, second: repeats[1].key, slow: slow.key, predicted: predicted.key };

let results: string;
beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-runs-'));
  const store = (record: RunRecord, experiment: string) =>
    storeRun(results, experiment, { recordOf: () => record, trace: null, tokens: null });
  for (const record of [...repeats, slow]) await store(record, 'sweep');
  await store(predicted, 'what-if');
});
afterAll(async () => {
  await rm(results, { recursive: true, force: true });
});

const runs = (...args: string[]): Promise<CliResult> => callCli(['runs', ...args, '--results', results]);
/** Its document, with nothing but it on standard output. */
async function answer(...args: string[]) {
  const { stdout, exitCode, stderr } = await runs(...args, '--json');
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe('runs list', () => {
  it('prints a line for every run', async () => {
    // As a process of its own, the others within this one.
    const args = ['runs', 'list', '--sort', 'tokensPerSecond', '--results', results];
    const { stdout, exitCode, stderr } = await runCli(args);
    expect(exitCode, stderr).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^key +createdAt +experiment +kind +strategy +target +tokensPerSecond/);
    expect(lines.slice(2, 6).map((line) => line.split(/ {2,}/)[0])).toEqual(
      [keys.predicted, keys.first, keys.second, keys.slow].map((key) => key.slice(0, 10)),
    );
    expect(lines.at(-1)).toBe('4 runs');
  });

  it('shows the axes of one experiment', async () => {
    const { stdout } = await runs('list', '--experiment', 'sweep', '--limit', '3');
    expect(stdout.split('\n')[0]).toMatch(/system.*batch|batch.*system/);
  });

  it.each<[string, string[], (string | undefined)[]]>([
    ['kind', ['--kind', 'simulated'], [keys.predicted]],
    ['experiment', ['--experiment', 'what-if'], [keys.predicted]],
    ['an experiment that is not there', ['--experiment', 'none'], []],
    ['condition', ['--where', "system = 'Spec' and tokensPerSecond < 4", '--sort', 'repeat'], [keys.second]],
    ['limit', ['--sort', '+tokensPerSecond', '--limit', '2'], [keys.slow, keys.second]],
    ['what has no value last', ['--sort', 'batch', '--kind', 'measured', '--limit', '1'], [keys.slow]],
  ])('selects by %s', async (_title, args, expected) => {
    const { runs: rows } = await answer('list', ...args);
    expect(rows.map(({ key }: { key: string }) => key)).toEqual(expected);
  });

  it('gives the columns that were asked for', async () => {
    const { runs: rows, total } = await answer('list', '--columns', 'system, batch,seconds', '--limit', '1');
    expect(total).toBe(4);
    expect(Object.keys(rows[0])).toEqual(['system', 'batch', 'seconds']);
  });

  it('names broken folders and shows the others', async () => {
    const broken = join(results, 'sweep', 'f'.repeat(32));
    await mkdir(broken);
    await writeFile(join(broken, 'run.json'), '{');
    const { stdout, stderr, exitCode } = await runs('list');
    await rm(broken, { recursive: true });
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`${'f'.repeat(32)}/run.json is not valid JSON`);
    expect(stdout).toContain('4 runs');
  });

  it('of an empty store says so', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'specoffload-runs-'));
    const { stdout, exitCode } = await callCli(['runs', 'list', '--results', empty]);
    await rm(empty, { recursive: true });
    expect([stdout, exitCode]).toEqual(['no runs\n', 0]);
  });
});

describe('runs show', () => {
  it('prints what came out, what was run and where', async () => {
    const { stdout, exitCode } = await runs('show', keys.slow.slice(0, 8));
    expect(exitCode).toBe(0);
    for (const text of [
      'serial: 4 new tokens for 2 prompts',
      keys.slow,
      'seed 5, repeat 0',
      'axes        system Flex, batch 64',
      ': disturbed',
      'candidates 4',
      'onnxruntime-node 1.30.0',
      join(results, 'sweep', keys.slow, 'run.json'),
    ])
      expect(stdout).toContain(text);
  });

  it('calls a prediction one', async () => {
    const { stdout } = await runs('show', keys.predicted);
    expect(stdout).toMatch(/^predicted serial: /);
    expect(await answer('show', `what-if/${keys.predicted.slice(0, 6)}`)).toMatchObject({
      record: { key: keys.predicted, kind: 'simulated' },
    });
  });
});

describe('runs diff', () => {
  it('says plainly that repeats have the same configuration', async () => {
    const { stdout, exitCode } = await runs('diff', keys.first, keys.second);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('identical configuration: repeats 0 and 1 of one run');
    expect(stdout).toMatch(/tokensPerSecond +4\.00 +3\.00 +0\.750/);
    expect(stdout).toContain('the same tokens were generated');
    expect(stdout).toContain('the same code, packages and machine');
  });

  it('puts what differs side by side', async () => {
    const { stdout } = await runs('diff', keys.first, keys.slow);
    expect(stdout).not.toContain('identical configuration');
    expect(stdout).toMatch(/configuration\nfield +a +b\n─+ .*\nseed +0 +5/);
    expect(stdout).toMatch(/axes\.system +Spec +Flex/);
    expect(stdout).toMatch(/isDisturbed +no +yes/);
    expect(await answer('diff', keys.first, keys.slow)).toMatchObject({
      ...{ a: { key: keys.first }, b: { key: keys.slow }, isSameConfiguration: false, isSameOutput: true },
    });
  });
});

describe('runs query', () => {
  it('answers SQL', async () => {
    const sql =
      'select experiment, count(*) as n, max(tokensPerSecond) as best from runs group by 1 order by 1';
    expect(await answer('query', sql)).toEqual([
      { experiment: 'sweep', n: 3, best: 4 },
      { experiment: 'what-if', n: 1, best: 9 },
    ]);
    const { stdout } = await runs('query', sql);
    expect(stdout).toMatch(/^experiment +n +best\n─.*\nsweep +3 +4\n/);
  });
});

describe('runs export', () => {
  it('writes one file', async () => {
    const out = join(results, 'out.csv');
    expect(await answer('export', '--kind', 'measured', '--out', out)).toEqual({
      path: out,
      runs: 3,
      warnings: [],
    });
    await rm(out);
    expect((await readdir(results)).sort()).toEqual(['sweep', 'what-if']);
  });
});

describe('runs rank', () => {
  it('puts the points of an experiment in order, with ratios to its baseline', async () => {
    const definition = join(results, 'sweep.json');
    const shared = { name: 'sweep', question: 'Which?', kind: 'measured', settings: { prompts: 2 } };
    const axes = { batch: [8, 64], system: [] as unknown[] };
    axes.system = ['Spec', 'Flex'].map((label) => ({ label, settings: { strategy: 'serial' } }));
    await writeFile(
      definition,
      JSON.stringify({ ...shared, axes, derived: { decodeBatch: 'batch' }, baseline: { batch: 8 } }),
    );
    const { stdout, exitCode, stderr } = await runs('rank', definition);
    const { points, lowerIsBetter } = await answer('rank', definition);
    const bySeconds = await answer('rank', definition, '--metric', 'seconds');
    await rm(definition);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^system +batch +tokensPerSecond +95 % +runs +disturbed\n─.*\nSpec +8 +3\.50 +- +2 +0\n/,
    );
    expect([lowerIsBetter, bySeconds.lowerIsBetter]).toEqual([false, true]);
    expect(points).toMatchObject([{ isBaseline: true }, { isBaseline: false, overBaseline: null }]);
  });

  it('takes an experiment of which only the records are there, and a baseline for it', async () => {
    const { points, baseline } = await answer('rank', 'sweep', '--baseline', 'batch=8');
    expect(baseline).toEqual({ batch: 8 });
    expect(points).toMatchObject([{ isBaseline: true }, { isBaseline: false }]);
    const { stdout } = await runs('rank', 'sweep');
    expect(stdout).not.toContain('baseline');
    for (const [missing, hint] of [
      ['batch=9', ': 8, 64'],
      ['__proto__=1', ''],
    ]) {
      const refused = await runs('rank', 'sweep', '--baseline', missing);
      expect([refused.exitCode, refused.stdout]).toEqual([1, '']);
      expect(refused.stderr).toMatch(
        new RegExp(
          `invalid --baseline: ${missing}; expected an axis of the experiment and one of its values${hint}\n`,
        ),
      );
    }
  });

  it('refuses an experiment without runs, and a metric that is none', async () => {
    expect(await runs('rank', 'candidates')).toMatchObject({
      ...{ exitCode: 1, stdout: '' },
      stderr: expect.stringContaining(
        'no runs of candidates have tokensPerSecond; `specoffload sweep` makes some',
      ),
    });
    expect(await runs('rank', '../secrets')).toMatchObject({
      ...{ exitCode: 2, stdout: '' },
      stderr: expect.stringContaining("invalid experiment: ../secrets; expected a folder's name"),
    });
    const { exitCode, stderr } = await runs('rank', 'candidates', '--metric', 'speed');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('invalid --metric: "speed"; expected')]);
  });
});

describe('runs columns', () => {
  it('lists them', async () => {
    const { stdout, exitCode } = await callCli(['runs', 'columns']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/tokensPerSecond +tokens\/s +newTokens \/ seconds/);
  });
});

describe('refusals', () => {
  it.each<[string, string[], number, string]>([
    ['no subcommand', [], 2, 'Usage: specoffload runs'],
    ['a limit of 0', ['list', '--limit', '0'], 2, 'invalid --limit: 0; expected a whole number'],
    [
      'an unknown kind',
      ['list', '--kind', 'guessed'],
      2,
      'invalid --kind: guessed; expected measured, simulated',
    ],
    [
      'an unknown column',
      ['list', '--columns', 'speed'],
      2,
      'invalid --columns: speed; expected columns of these',
    ],
    [
      'an unknown order',
      ['list', '--sort', 'speed'],
      2,
      'invalid --sort: speed; expected columns of these runs',
    ],
    ['a wrong condition', ['list', '--where', 'speed > 1'], 2, 'Referenced column "speed" not found'],
    [
      'a condition that reads files',
      ['list', '--where', "exists(from '/etc/hostname')"],
      2,
      'invalid condition',
    ],
    ['a wrong query', ['query', 'select'], 2, 'invalid query: Parser Error'],
    ['no key', ['show'], 2, "missing required argument 'key'"],
    ['what is no key', ['show', 'XYZ'], 2, "invalid key: XYZ; expected the first letters of a run's key"],
    ['a path', ['show', '../../etc'], 2, 'invalid key: ../../etc'],
    ['a key that is not there', ['show', '0123456789'], 2, 'no run 0123456789 in '],
    ['one run to compare', ['diff', 'a'], 2, "missing required argument 'b'"],
    ['no file', ['export'], 2, "required option '--out <file>' not specified"],
    ['another format', ['export', '--out', 'runs.xlsx'], 2, 'invalid --out: runs.xlsx; expected a file name'],
    [
      'a folder that is not there',
      ['export', '--out', '/no/such/runs.csv'],
      1,
      'cannot write /no/such/runs.csv',
    ],
  ])('%s', async (_title, args, expected, message) => {
    const { exitCode, stdout, stderr } = args.length === 0 ? await callCli(['runs']) : await runs(...args);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([exitCode, stdout]).toEqual([expected, '']);
  });

  it('an ambiguous key, with those that it may be', async () => {
    const all = Object.values(keys).map((key) => key[0]);
    const shared = all.find((letter, i) => all.indexOf(letter) !== i);
    // Four keys and sixteen letters: make one that shares a letter if none does.
    const copy = join(results, 'sweep', `${keys.first[0]}${'0'.repeat(31)}`);
    await mkdir(copy);
    const { exitCode, stderr } = await runs('show', shared ?? keys.first[0]);
    await rm(copy, { recursive: true });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/ may be (sweep|what-if)\/[0-9a-f]{32}, .*; type more of the key, or/);
  });

  it('a record that cannot be read', async () => {
    const empty = join(results, 'sweep', 'e'.repeat(32));
    await mkdir(empty);
    const { exitCode, stderr } = await runs('show', 'e'.repeat(32));
    await rm(empty, { recursive: true });
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('no run.json in it; remove the folder')]);
  });

  it('a store that is not there', async () => {
    const { exitCode, stderr } = await callCli(['runs', 'list', '--results', '/no/such/store']);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining('there is no /no/such/store; store a run first'),
    ]);
  });
});

describe('help', () => {
  it.each(['list', 'show', 'diff', 'rank', 'query', 'export', 'columns'])(
    'of %s ends with an example',
    async (command) => {
      const { exitCode, stdout } = await callCli(['runs', command, '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`Example:\n  specoffload runs ${command}`);
    },
  );
});
