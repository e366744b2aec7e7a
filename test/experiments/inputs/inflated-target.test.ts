import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prepareTarget } from '../../../experiments/src/inputs/inflated-target.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';

let folder: string;
let source: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-inflate-'));
  source = join(folder, 'source');
  await cp(join(projectDirectory, 'test', 'golden', 'mixtral'), source, { recursive: true });
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const cache = () => join(folder, 'cache');

/** @returns whether it had to inflate, and what the cache holds now. */
async function prepare(bytes = 3e6, signal = new AbortController().signal) {
  const notes: string[] = [];
  const stream = { write: (text: string) => notes.push(text) };
  const request = { sourceDirectory: source, cacheDirectory: cache(), bytes };
  const target = await prepareTarget(request, createOutput(stream, stream, false), signal);
  return { target, hasInflated: notes.length > 0, names: (await readdir(cache())).sort() };
}

it('inflates once', async () => {
  const first = await prepare();
  expect([first.hasInflated, first.names.length]).toEqual([true, 1]);
  expect(Math.abs(first.target.bytes - 3e6) / 3e6).toBeLessThan(0.01);
  const second = await prepare();
  expect([second.hasInflated, second.target.digest]).toEqual([false, first.target.digest]);
});

it('inflates again when the source has other weights, and drops what it replaces', async () => {
  const first = await prepare();
  const other = await prepare(4e6);
  expect(other.names).toHaveLength(2); // another size stays
  const weights = join(source, 'model.safetensors');
  const bytes = await readFile(weights);
  bytes[bytes.length - 2] ^= 1; // same sizes, another model
  await writeFile(weights, bytes);
  const second = await prepare();
  expect(second.hasInflated).toBe(true);
  expect(second.names).toHaveLength(2);
  expect(second.names).not.toContain(first.target.name);
  expect(second.names).toContain(other.target.name);
});

it('inflates again when the cached one is damaged', async () => {
  const { target } = await prepare();
  await truncate(join(target.directory, 'model.safetensors'), 1000);
  expect((await prepare()).hasInflated).toBe(true);
  expect((await prepare()).hasInflated).toBe(false);
});

it('leaves nothing behind when interrupted', async () => {
  const reason = new Error('stop');
  await expect(prepare(3e6, AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(await readdir(cache()).catch(() => [])).toEqual([]);
});
