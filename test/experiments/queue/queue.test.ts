/** Sweeps whose points workers take from a queue: the same runs under the same keys, once each, whoever dies. */

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
});
