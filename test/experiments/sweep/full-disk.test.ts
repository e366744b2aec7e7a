/** A sweep on a disk that is full: it stops with one sentence, and goes on when there is room. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseRunRecord } from '../../../experiments/src/store/index.js';
import { type ExperimentDefinition, runExperiment } from '../../../experiments/src/sweep/index.js';

const folder = mkdtempSync(join(tmpdir(), 'specoffload-full-'));

/** A disk of 128 KiB; not everybody may mount one. */
const isMounted = mount('size=128k');

function mount(options: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

afterAll(() => {
  if (isMounted) execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true, force: true });
});

it.skipIf(!isMounted)('stops with a clear sentence, and goes on when there is room', async () => {
  const definition: ExperimentDefinition = {
    ...{ name: 'full', question: 'Is there room?', kind: 'simulated' },
    settings: { machine: 'env1', target: 'mistral-7b', draft: 'none', strategy: 'none', maxNewTokens: 1 },
    axes: { promptTokens: Array.from({ length: 60 }, (_, i) => i + 1), prompts: [1] },
  };
  const sweep = runExperiment(definition, { results: folder, workers: 2 });
  await expect(sweep).rejects.toThrow(
    /^no space left for the record in .*; what is finished stays, start the same sweep again to go on$/,
  );
  expect(await readdir(folder)).toEqual(['full']);
  const isKey = (name: string) => /^[0-9a-f]{32}$/.test(name);
  const finished = (await readdir(join(folder, 'full'))).filter(isKey);
  expect(finished.length).toBeGreaterThan(0);
  expect(finished.length).toBeLessThan(60);
  for (const key of finished) {
    const path = join(folder, 'full', key, 'run.json');
    expect(parseRunRecord(JSON.parse(await readFile(path, 'utf8')), path).key).toBe(key);
  }

  expect(mount('remount,size=4m')).toBe(true);
  const outcome = await runExperiment(definition, { results: folder, workers: 2 });
  expect(outcome).toMatchObject({
    ...{ before: finished.length, stored: 60 - finished.length, isComplete: true },
  });
});
