/** A folder with config.json alone, wherever a model is named. */

import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConfiguration, runEngine } from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory } from '../../engine/model/golden.js';
import { callCli } from '../cli.js';

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'specoffload-alone-'));
  folder = join(root, 'mine');
  await mkdir(folder);
  await copyFile(join(goldenDirectory('mixtral'), 'config.json'), join(folder, 'config.json'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const work = [
  '--strategy',
  'none',
  '--prompts',
  '4',
  '--prompt-tokens',
  '16',
  '--max-new-tokens',
  '4',
  '--json',
];

describe('a model by configuration alone', () => {
  it('is predicted by its folder or its file', async () => {
    const predict = async (target: string) => {
      const { exitCode, stdout, stderr } = await callCli([
        'simulate',
        '--target',
        target,
        ...work,
        '--results',
        join(root, 'results'),
      ]);
      expect(exitCode, stderr).toBe(0);
      return JSON.parse(stdout).record;
    };
    const record = await predict(folder);
    expect(record).toMatchObject({ kind: 'simulated', model: { target: { name: 'mine' } } });
    expect((await predict(join(folder, 'config.json'))).result).toEqual(record.result);
  });

  it('is a target of definitions that predict, and refused in those that measure', async () => {
    const sweep = async (kind: string) => {
      const definition = {
        ...{ name: `alone-${kind}`, question: 'Which batch?', kind },
        settings: {
          ...(kind === 'simulated' ? { machine: 'rtx-4090+pcie4' } : {}),
          target: folder,
          draft: 'none',
          strategy: 'none',
          ...(kind === 'simulated' ? { prompts: 4, promptTokens: 16 } : { workload: 'code', prompts: 2 }),
          maxNewTokens: 4,
        },
        axes: { decodeBatch: [2, 4] },
      };
      const file = join(root, `${kind}.json`);
      await writeFile(file, JSON.stringify(definition));
      return callCli(['sweep', file, '--results', join(root, 'results')]);
    };
    const predicted = await sweep('simulated');
    expect(predicted.exitCode, predicted.stderr).toBe(0);
    const measured = await sweep('measured');
    expect(measured.stderr).toContain(
      `${folder} has a configuration, which simulate and plan can predict, but no weights`,
    );
    expect(measured.exitCode).toBe(1);
  });

  it('is inspected, as models of the catalogue are', async () => {
    expect((await callCli(['model', 'inspect', folder])).stdout).toMatch(
      /^mine\narchitecture +mixtral, 3 layers/,
    );
    expect((await callCli(['model', 'inspect', 'mixtral-8x7b'])).stdout).toContain('46,702,792,704, ');
  });

  it.each([
    [
      '',
      'has a configuration, which simulate and plan can predict, but no weights: neither model.safetensors nor',
    ],
    [
      '/config.json',
      'is a configuration, which simulate and plan can predict, without weights; expected the directory',
    ],
  ])('is no checkpoint that could run: %j', async (end, message) => {
    const { exitCode, stderr } = await callCli(['run', '--target', `${folder}${end}`, '--strategy', 'none']);
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(exitCode).toBe(1);
  });

  it('does not run from TypeScript either', async () => {
    const target = await openConfiguration(folder);
    const run = runEngine({
      target,
      draft: null,
      prompts: [[1]],
      strategy: 'none',
      maxNewTokens: 2,
      machine: { deviceBytes: 64e6, hostBytes: 64e6 },
    });
    await expect(run).rejects.toThrow('mine is known by its configuration alone');
  });
});
