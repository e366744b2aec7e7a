import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { collectProvenance } from '../../../experiments/src/store/index.js';

let checkout: string;
const git = async (...args: string[]) => {
  const names = ['-c', 'commit.gpgsign=false', '-c', 'user.name=test', '-c', 'user.email=test@example.org'];
  return (await promisify(execFile)('git', [...names, ...args], { cwd: checkout })).stdout.trim();
};

beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'specoffload-provenance-'));
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

it('names the commit that ran, and whether tracked files differed from it', async () => {
  expect(await collectProvenance(checkout)).toMatchObject({ commit: null, dirty: null });

  const file = join(checkout, 'code.js');
  await writeFile(file, 'first');
  await git('init', '--quiet');
  expect(await collectProvenance(checkout)).toMatchObject({ commit: null, dirty: null });
  await git('add', '.');
  await git('commit', '--quiet', '--message', 'first');
  const commit = await git('rev-parse', 'HEAD');
  await writeFile(join(checkout, 'notes.txt'), 'nobody tracks this');
  expect(await collectProvenance(checkout)).toMatchObject({ commit, dirty: false });

  // Touched, but the same: git would write its index to remember so.
  const index = join(checkout, '.git', 'index');
  const before = [await readFile(index), (await stat(index)).mtimeMs];
  await utimes(file, 1, 1);
  expect(await collectProvenance(checkout)).toMatchObject({ commit, dirty: false });
  expect([await readFile(index), (await stat(index)).mtimeMs]).toEqual(before);

  await writeFile(file, 'second');
  expect(await collectProvenance(checkout)).toMatchObject({ commit, dirty: true });
  await git('commit', '--quiet', '--all', '--message', 'second');
  const second = await collectProvenance(checkout);
  expect(second).toMatchObject({ commit: await git('rev-parse', 'HEAD'), dirty: false });
  expect(second.commit).not.toBe(commit);
});

it('names what computes, with its version, and the machine', async () => {
  const { version, packages, cpu, cores, kernels, node } = await collectProvenance();
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(packages['onnxruntime-node']).toMatch(/^\d+\.\d+\.\d+/);
  expect([cpu, node]).toEqual([cpus()[0].model.trim(), process.versions.node]);
  expect(cores).toBeGreaterThan(0);
  expect(kernels).toMatch(/^(baseline|avx2|avx512|amx|typescript)$/);
});
