/** Sweeps whose points workers take from a queue: the same runs under the same keys, once each, whoever dies. */

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { machinesDirectory } from '../../../experiments/src/paths.js';
import { queueRunner } from '../../../experiments/src/queue/index.js';
import { type ServeOptions, serve, type Tally } from '../../../experiments/src/queue/serve.js';
import { defineExperiment, runExperiment } from '../../../experiments/src/sweep/index.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { missingRedis, TestRedis } from './redis.js';

const definition = defineExperiment({
  ...{ name: 'tiny', question: 'Does it run elsewhere?', kind: 'simulated' },
  settings: { machine: 'env1', acceptance: 0.8, prompts: 8, promptTokens: 16, maxNewTokens: 2 },
  axes: { strategy: ['none', 'serial'], decodeBatch: [2, 4, 8] },
});

const silent = { write: () => true };

let redis: TestRedis;
let folder: string;
const leaving: AbortController[] = [];

/** A worker in this process, until it is told to leave. */
function startWorker(options: Partial<ServeOptions> = {}): { leave(): Promise<Tally | null> } {
  const controller = new AbortController();
  leaving.push(controller);
  const work = serve({
    ...{ queue: redis.address, results: join(folder, 'nowhere'), parallel: 1, label: null },
    ...{ maxIdleSeconds: 600, output: createOutput(silent, silent, false), signal: controller.signal },
    lockPath: join(folder, 'lock'),
    onProgress: () => {},
    ...options,
  }).catch((error) => {
    if (!controller.signal.aborted) throw error;
    return null;
  });
  return {
    leave: () => {
      controller.abort(new Error('enough'));
      return work;
    },
  };
}

const keysIn = async (results: string) =>
  (await readdir(join(results, 'tiny'))).filter((name) => /^[0-9a-f]{32}$/.test(name)).sort();

describe.skipIf(missingRedis !== null)(missingRedis ?? 'a queue', () => {
  let own: string;
  beforeAll(async () => {
    redis = await TestRedis.start();
    folder = await mkdtemp(join(tmpdir(), 'specoffload-queue-'));
    own = join(folder, 'own');
    await runExperiment(definition, { results: own, workers: 1 });
  });
  afterEach(() => {
    for (const controller of leaving.splice(0)) controller.abort(new Error('the test is over'));
  });
  afterAll(async () => {
    await redis?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    ['writes into the common store', true],
    ['sends records whole', false],
  ])('%s: the same keys as without a queue', async (name, isShared) => {
    const results = join(folder, name);
    const worker = startWorker(isShared ? { results } : {});
    const options = { results, traces: true, createRunner: queueRunner(redis.address) };
    const outcome = await runExperiment(definition, options);
    expect(outcome).toMatchObject({ stored: 6, before: 0, failed: [], isComplete: true });
    expect(await keysIn(results)).toEqual(await keysIn(own));
    const again = await runExperiment(definition, options);
    expect(again).toMatchObject({ stored: 0, before: 6, isComplete: true });
    await worker.leave();
  });

  it('loses and doubles nothing when workers leave or die, and the server too', async () => {
    const results = join(folder, 'dying');
    const many = {
      ...definition,
      axes: { ...definition.axes, promptTokens: [8, 9, 10, 11, 12, 13, 14, 15] },
    };
    const child = spawn(process.execPath, [
      ...[join(import.meta.dirname, 'worker-child.mjs'), redis.address, results, join(folder, 'lock')],
    ]);
    const leaving = startWorker({ results, leaseMs: 1000 });
    let numTrouble = 0;
    // Who takes over is at work before the server dies: nobody comes back who was never there.
    let tookOver = () => {};
    const takenOver = new Promise<void>((resolve) => {
      tookOver = resolve;
    });
    const trouble: Record<number, () => unknown> = {
      4: () => leaving.leave(),
      12: () => child.kill('SIGKILL') && startWorker({ leaseMs: 1000, onProgress: () => tookOver() }),
      20: () => {
        isBack = takenOver.then(() => redis.kill()).then(() => redis.start());
      },
    };
    let isBack: Promise<unknown> = Promise.resolve();
    const outcome = await runExperiment(many, {
      ...{ results, createRunner: queueRunner(redis.address) },
      onProgress: ({ done }) => {
        for (const at of Object.keys(trouble)
          .map(Number)
          .filter((at) => at <= done)) {
          numTrouble += 1;
          trouble[at]!();
          delete trouble[at];
        }
      },
    });
    child.kill('SIGKILL');
    await isBack;
    expect(numTrouble).toBe(3);
    expect(outcome).toMatchObject({ failed: [], isComplete: true });
    // What the child had stored when it died, and others ran again, was there before.
    expect(outcome.stored + outcome.before).toBe(48);
    expect((await keysIn(results)).length).toBe(48);
  });

  it('sets a point aside that no worker can run, with its error, and goes on with the same command', async () => {
    const results = join(folder, 'poison');
    const machine = join(folder, 'machine.json');
    const text = await readFile(join(machinesDirectory, 'env1.json'), 'utf8');
    await writeFile(machine, text);
    startWorker({ results });
    const one = {
      ...definition,
      settings: { ...definition.settings, machine },
      axes: { strategy: ['serial'] },
    };
    const options = { results, createRunner: queueRunner(redis.address) };
    const spoiled = await runExperiment(one, {
      ...options,
      // As on a worker whose file of that name is another one.
      onNote: () => writeFileSync(machine, text.replace('266287972352', '266287972353')),
    });
    expect(spoiled).toMatchObject({ stored: 0, isComplete: false, failed: [{ seed: 1 }] });
    expect(spoiled.failed[0]!.message).toMatch(/another run here .* \(in 4 attempts\)/);
    expect(await runExperiment(one, options)).toMatchObject({ stored: 1, failed: [] });
  });

  it('measures where the label is, alone, and sends tokens and timeline', async () => {
    const results = join(folder, 'measured');
    const measured = defineExperiment({
      ...{ name: 'tiny', question: 'Does it measure there?', kind: 'measured', repeats: 1, warmups: 0 },
      settings: {
        ...{ workload: 'code', prompts: 1, maxNewTokens: 2 },
        ...{ deviceMemory: '128MB', hostMemory: '64MB' },
      },
      axes: { strategy: ['none'] },
    });
    const options = (label?: string) => ({
      results,
      createRunner: queueRunner(redis.address, label === undefined ? {} : { label }),
    });
    await expect(runExperiment(measured, options())).rejects.toThrow(/say with label on which machines/);
    startWorker({ label: 'desk' });
    expect(await runExperiment(measured, options('desk'))).toMatchObject({ stored: 1, failed: [] });
    const [key] = await keysIn(results);
    const files = ['run.json', 'tokens.jsonl', 'trace.json.gz'];
    expect((await readdir(join(results, 'tiny', key!))).sort()).toEqual(files);
  });

  it('says where no server answers', async () => {
    const options = { results: join(folder, 'none'), createRunner: queueRunner(`unix://${folder}/nobody`) };
    await expect(runExperiment(definition, options)).rejects.toThrow(/no Redis answers at unix:.*ENOENT/);
  });
});
