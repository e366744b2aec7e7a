/** Sweeps that are killed at any moment, or find no room: nothing finished is lost, nothing half-written is left. */

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom } from '@specoffload/engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle } from '../../../experiments/bundle.mjs';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { parseRunRecord } from '../../../experiments/src/store/index.js';

let folder: string;
let definitionPath: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-kill-'));
  definitionPath = join(folder, 'definition.json');
  // As commands are: many die before they have done anything but start.
  await bundle([join(import.meta.dirname, 'sweep-child.mjs')], childFolder);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const childFolder = join(projectDirectory, 'test', 'output', 'kill');
const childPath = join(childFolder, 'sweep-child.js');

/**
 * @param workers threads that predict and store
 * @param killAfter beginnings and ends of runs, and milliseconds from there on; null lets it end by itself.
 * @returns how it ended, null when it was killed.
 */
function runChild(
  results: string,
  workers: number,
  killAfter: { readonly events: number; readonly ms: number } | null,
): Promise<object | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [childPath, definitionPath, results, `${workers}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Without git, which every child would ask twice for the commit.
      env: { ...process.env, PATH: '' },
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const isEarly = stdout.length < (killAfter?.events ?? 0);
      stdout += text;
      if (killAfter !== null && isEarly && stdout.length >= killAfter.events)
        setTimeout(() => child.kill('SIGKILL'), killAfter.ms);
    });
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      resolve(signal === null ? JSON.parse(stdout.replace(/^\.*/, '')) : null);
    });
  });
}

/** Inode and time of change of every record: a record that was written again would have others. */
async function stampsOf(experimentFolder: string): Promise<Map<string, string>> {
  const names = (await readdir(experimentFolder).catch(() => [])).filter((name) =>
    /^[0-9a-f]{32}$/.test(name),
  );
  const stamps = await Promise.all(
    names.map(async (name) => {
      const { ino, mtimeMs } = await stat(join(experimentFolder, name, 'run.json'));
      return [name, `${ino} ${mtimeMs}`] as const;
    }),
  );
  return new Map(stamps);
}

const numKills = 30;

it('survives thirty kills, spread over all that a session does', async () => {
  // More runs than killed sweeps store, about five each; of few points, which are quickly laid out anew.
  const [numPoints, seeds] = [40, Array.from({ length: 8 }, (_, i) => i + 1)];
  const numRuns = numPoints * seeds.length;
  const definition = {
    ...{ name: 'killed', question: 'Does it survive?', kind: 'simulated' },
    settings: { machine: 'env1', target: 'llama-3.2-1b', draft: 'none', strategy: 'none', maxNewTokens: 1 },
    axes: { promptTokens: Array.from({ length: numPoints }, (_, i) => i + 1), prompts: [1] },
    seeds,
  };
  await writeFile(definitionPath, JSON.stringify(definition));
  const results = join(folder, 'results');
  const experimentFolder = join(results, 'killed');
  const random = createRandom(7, 'kills');
  let known = new Map<string, string>();
  let kills = 0;
  while (kills < numKills) {
    // While threads start, while they predict, and while they store: one in each thirtieth of the way, now early, now late.
    const way = (((7 * kills) % numKills) + random.uniform()) / numKills;
    const killAfter = { events: 1 + Math.floor(24 * way ** 2), ms: 20 * random.uniform() };
    // Every third with two threads, which store at the same time.
    const workers = kills % 3 === 0 ? 2 : 1;
    if ((await runChild(results, workers, killAfter)) !== null) break; // it was done before
    kills += 1;
    const now = await stampsOf(experimentFolder);
    for (const [key, stamp] of known) expect(now.get(key)).toBe(stamp);
    known = now;
  }
  expect(kills).toBe(numKills);
  expect(known.size).toBeGreaterThan(0);
  expect(known.size).toBeLessThan(numRuns);

  const outcome = await runChild(results, 2, null);
  expect(outcome).toEqual({ before: known.size, stored: numRuns - known.size, isComplete: true });
  const stamps = await stampsOf(experimentFolder);
  for (const [key, stamp] of known) expect(stamps.get(key)).toBe(stamp);
  const runs = new Set<string>();
  for (const key of stamps.keys()) {
    const path = join(experimentFolder, key, 'run.json');
    const record = parseRunRecord(JSON.parse(await readFile(path, 'utf8')), path);
    expect(record.key).toBe(key);
    runs.add(`${record.point?.axes.promptTokens} ${record.seed}`);
  }
  expect([stamps.size, runs.size]).toEqual([numRuns, numRuns]);
  expect(await readdir(results)).toEqual(['killed']); // the litter of the killed ones is gone
}, 600_000);
