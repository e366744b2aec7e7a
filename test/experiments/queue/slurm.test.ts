/** Sweeps as arrays of Slurm jobs: what is handed in, and shares that are the whole together. */

import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { argsOfTasks, parseSbatchOptions } from '../../../experiments/src/queue/slurm.js';
import { defineExperiment, runExperiment } from '../../../experiments/src/sweep/index.js';
import { callCli } from '../cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-slurm-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const sweep = (...flags: string[]) =>
  callCli(['sweep', 'candidates', '--slurm', '--results', join(folder, 'my results'), ...flags]);

it('prints its script, in which every task asks for its share', async () => {
  const { exitCode, stdout } = await sweep(
    ...['--tasks', '16', '--dry-run', '--filter', 'candidates <= 4 or \'a\' == "b"'],
    ...['--sbatch', '--partition=long --time=2:00:00'],
  );
  expect(exitCode).toBe(0);
  const results = join(folder, 'my results');
  expect(stdout.split('\n')).toEqual([
    '#!/bin/bash',
    '#SBATCH --job-name=specoffload-candidates',
    '#SBATCH --array=1-16',
    `#SBATCH --output="${results}/candidates/slurm-%A_%a.log"`,
    '#SBATCH --requeue',
    '#SBATCH --partition=long',
    '#SBATCH --time=2:00:00',
    '# Each task runs its share of the points that the common store does not have yet.',
    'set -euo pipefail',
    `cd ${process.cwd()}`,
    expect.stringMatching(
      /^exec \S+ \S+specoffload\.js sweep candidates --filter 'candidates <= 4 or '\\''a'\\'' == "b"' --results '.*\/my results' --share "\$SLURM_ARRAY_TASK_ID\/16"$/,
    ),
    '',
  ]);
});

it('hands the same script to sbatch, and says which job it is', async () => {
  await writeFile(join(folder, 'sbatch'), '#!/bin/sh\necho "42;cluster"\n');
  await chmod(join(folder, 'sbatch'), 0o755);
  vi.stubEnv('PATH', folder);
  const { stdout, exitCode } = await sweep('--json');
  vi.unstubAllEnvs();
  expect([exitCode, JSON.parse(stdout)]).toEqual([0, { job: '42', tasks: 8 }]);
  const script = await readFile(join(folder, 'my results', 'candidates', 'slurm.sh'), 'utf8');
  expect(script).toContain('#SBATCH --array=1-8\n');
  vi.stubEnv('PATH', '');
  expect(await sweep()).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('there is no sbatch') });
  vi.unstubAllEnvs();
});

it('refuses what contradicts an array', async () => {
  expect((await sweep('--search', 'halving')).stderr).toContain('leave --queue, --share and --search out');
  expect((await sweep('--sbatch', 'rm -rf')).stderr).toContain('invalid --sbatch: rm');
  expect(argsOfTasks(['sweep', 'a', '--tasks=3', '--json', '--quick', '--tasks', '3', '--slurm'])).toEqual([
    'sweep',
    'a',
    '--quick',
  ]);
  expect(parseSbatchOptions('')).toEqual([]);
});

it('is the whole when every share has run, and no point is in two', async () => {
  const definition = defineExperiment({
    ...{ name: 'shared', question: 'Who runs what?', kind: 'simulated' },
    settings: { machine: 'env1', acceptance: 0.8, prompts: 4, promptTokens: 8, maxNewTokens: 1 },
    axes: { strategy: ['none', 'serial'], decodeBatch: [2, 4] },
  });
  const shares = [];
  for (const index of [0, 1, 2]) {
    const options = { results: join(folder, 'shares'), workers: 1, share: { index, of: 3 } };
    shares.push(await runExperiment(definition, options));
  }
  expect(shares.map(({ before, isComplete }) => [before, isComplete])).toEqual(Array(3).fill([0, true]));
  expect(shares.reduce((sum, { stored }) => sum + stored, 0)).toBe(4);
});
