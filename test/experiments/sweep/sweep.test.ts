/** Sweeps of predictions: what is run, stored, resumed, refused and let go. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publishSignal } from '@specoffload/input';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { parseRunRecord, readRuns } from '../../../experiments/src/store/index.js';
import { keyOfPoint, keyOfTurn } from '../../../experiments/src/store/spec.js';
import {
  type ExperimentDefinition,
  runExperiment,
  type Settings,
  type SweepOptions,
  type SweepProgress,
} from '../../../experiments/src/sweep/index.js';

let results: string;
beforeEach(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-sweep-'));
});
afterEach(async () => {
  await rm(results, { recursive: true, force: true });
});

/** Predicted in milliseconds. */
const cheap: ExperimentDefinition = {
  name: 'cheap',
  question: 'Does the runner work?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', target: 'mistral-7b', draft: 'none', strategy: 'none' },
    ...{ promptTokens: 16, maxNewTokens: 2 },
  },
  axes: { prompts: [1, 2, 4, 8, 16, 32] },
};

/** On one thread: each has to load and to compile what so few predictions need. */
const sweep = (definition: ExperimentDefinition, options: SweepOptions = {}) =>
  runExperiment(definition, { results, workers: 1, ...options });

const recordsOf = async (experiment: string) => {
  const folder = join(results, experiment);
  const keys = (await readdir(folder)).filter((name) => !name.includes('.'));
  return Promise.all(
    keys.map(async (key) => {
      const record = parseRunRecord(JSON.parse(await readFile(join(folder, key, 'run.json'), 'utf8')), key);
      expect(record.key).toBe(key);
      return record;
    }),
  );
};

describe('a store that was damaged', () => {
  it.each<[string, (path: string) => unknown]>([
    ['cut short', (path) => truncate(path, 300)],
    ['missing', (path) => rm(path)],
    ['a pipe', (path) => rm(path).then(() => execFileSync('mkfifo', [path]))],
  ])('has the run whose record is %s again, and keeps what was there', async (what, damage) => {
    await sweep(cheap);
    const [key] = (await readdir(join(results, 'cheap'))).filter((name) => !name.includes('.'));
    await damage(join(results, 'cheap', key!, 'run.json'));
    const notes: string[] = [];
    const outcome = await sweep(cheap, { onNote: (note) => notes.push(note) });
    expect(outcome).toMatchObject({ stored: 1, before: 5, isComplete: true });
    expect(outcome.ranking).toHaveLength(6);
    expect(notes.join('')).toContain(key);
    expect(await recordsOf('cheap')).toHaveLength(6);
    const aside = (await readdir(join(results, 'cheap'))).filter((name) => name.startsWith('.'));
    // Of a folder that was left empty there is nothing to keep.
    expect(aside).toEqual(what === 'missing' ? [] : [expect.stringContaining(`.damaged-${key}`)]);
  });

  it('may have the experiment on another file system', async () => {
    const elsewhere = await mkdtemp('/dev/shm/specoffload-');
    await symlink(elsewhere, join(results, 'cheap'));
    expect(await sweep(cheap)).toMatchObject({ stored: 6, isComplete: true });
    expect(await sweep(cheap)).toMatchObject({ stored: 0, before: 6 });
    expect((await readRuns({ results, experiment: 'cheap' })).length).toBe(6);
    await rm(elsewhere, { recursive: true });
  });
});

describe('runExperiment', () => {
  it('stores every point once, with its place, and ranks them', async () => {
    const events: SweepProgress[] = [];
    const outcome = await runExperiment(cheap, { results, onProgress: (event) => events.push(event) });
    expect(outcome).toMatchObject({ points: 6, runs: 6, stored: 6, before: 0, isComplete: true });
    expect(outcome.ranking.map(({ axes }) => axes.prompts)).toEqual([32, 16, 8, 4, 2, 1]);
    const records = await recordsOf('cheap');
    expect(records.map(({ point }) => point?.axes.prompts).sort()).toEqual([1, 16, 2, 32, 4, 8]);
    for (const { point, workload, ...run } of records) {
      expect(keyOfPoint(point!.axes, run.spec!)).toBe(point!.pointKey);
      expect(keyOfTurn(point!.pointKey, run)).toBe(run.key);
      expect(point).toMatchObject({ experiment: 'cheap', settings: { machine: 'env1', promptTokens: 16 } });
      expect(workload.prompts).toBe(point!.axes.prompts);
    }
    expect(events.at(-1)).toMatchObject({ done: 6, total: 6, running: 0, failed: 0, remainingSeconds: 0 });
    expect(await readdir(results)).toEqual(['cheap']);
  });

  it('runs only what is missing', async () => {
    await sweep(cheap, { filter: 'prompts < 8' });
    const before = await recordsOf('cheap');
    const outcome = await sweep(cheap);
    expect(outcome).toMatchObject({ stored: 3, before: 3, isComplete: true });
    expect(outcome.ranking).toHaveLength(6);
    expect(await recordsOf('cheap')).toEqual(expect.arrayContaining(before));
    expect(await sweep(cheap)).toMatchObject({ stored: 0, before: 6 });
  });

  it('tells apart whatever changes an outcome, and nothing else', async () => {
    const only = { ...cheap, axes: { prompts: [4] } };
    const rerun = (changes: Partial<ExperimentDefinition>) => sweep({ ...only, ...changes });
    await rerun({});
    expect(await rerun({ question: 'Other words?', metric: 'seconds' })).toMatchObject({ stored: 0 });
    const changes: Settings[] = [
      { maxNewTokens: 3 },
      { deviceMemory: '20GB' },
      { 'machine.link.bytesPerSecond': 1e9 },
      { pinnedLayers: 1 },
      { target: 'llama-3.1-8b' },
      { promptTokens: 17 },
    ];
    for (const settings of changes)
      expect(await rerun({ settings: { ...only.settings, ...settings } })).toMatchObject({ stored: 1 });
    expect(await rerun({ seeds: [1, 2] })).toMatchObject({ stored: 1, before: 1 });
  });

  it('keeps what no run can serve apart, and does not try it again unless asked', async () => {
    const definition = { ...cheap, axes: { deviceMemory: ['1MB', '20GB'] } };
    const first = await sweep(definition);
    expect(first).toMatchObject({ stored: 1, isComplete: true, runs: 1 });
    expect(first.refused).toMatchObject([
      { axes: { deviceMemory: '1MB' }, reason: expect.stringContaining('at least') },
    ]);
    const second = await sweep(definition);
    expect(second).toMatchObject({ stored: 0, isComplete: true });
    expect(second.refused).toEqual(first.refused);
    const third = await sweep(definition, { retry: true });
    expect(third.refused[0].createdAt > first.refused[0].createdAt).toBe(true);
  });

  it('tries a refusal again whose line was cut short', async () => {
    const definition = { ...cheap, axes: { deviceMemory: ['1MB'] } };
    await sweep(definition);
    const path = join(results, 'cheap', 'refused.jsonl');
    await writeFile(path, (await readFile(path, 'utf8')).slice(0, -20));
    expect((await sweep(definition)).refused).toHaveLength(1);
    expect(await sweep(definition)).toMatchObject({ stored: 0 });
  });

  it('starts nothing after its time, and goes on later', async () => {
    const outcome = await sweep(cheap, { maxSeconds: 1e-3 });
    expect(outcome).toMatchObject({ isComplete: false, stored: 0 });
    expect(await sweep(cheap)).toMatchObject({ isComplete: true, stored: 6 });
  });

  it('ends with the reason of its signal, and leaves nothing half-written', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const running = runExperiment(cheap, {
      ...{ results, signal: controller.signal, workers: 1 },
      onProgress: ({ done }) => done >= 2 && controller.abort(reason),
    });
    await expect(running).rejects.toBe(reason);
    const finished = (await recordsOf('cheap')).length;
    expect(finished).toBeGreaterThanOrEqual(2);
    expect(await readdir(results)).toEqual(['cheap']);
    expect(await sweep(cheap)).toMatchObject({ before: finished, stored: 6 - finished });
  });

  it('ends with the signal of the cell that it was called from, where it is given none', async () => {
    const controller = new AbortController();
    const reason = new Error('interrupted');
    publishSignal(() => controller.signal);
    try {
      const running = runExperiment(cheap, {
        ...{ results, workers: 1 },
        onProgress: ({ done }) => done >= 2 && controller.abort(reason),
      });
      await expect(running).rejects.toBe(reason);
    } finally {
      publishSignal(() => new AbortController().signal);
    }
  });

  it('reads a machine file again that has changed since the sweep before', async () => {
    const path = join(results, 'mine.json');
    const speeds: number[] = [];
    for (const name of ['env1', 'env2']) {
      const machine = join(projectDirectory, 'experiments', 'machines', `${name}.json`);
      const changed = { ...JSON.parse(await readFile(machine, 'utf8')), name: 'mine' };
      await writeFile(path, JSON.stringify(changed));
      const definition = { ...cheap, name, settings: { ...cheap.settings, machine: path } };
      const { ranking } = await sweep(definition);
      const alone = { ...definition, name: `${name}-itself`, settings: { ...cheap.settings, machine: name } };
      const itself = await sweep(alone);
      expect(ranking.map(({ median }) => median)).toEqual(itself.ranking.map(({ median }) => median));
      speeds.push(ranking[0].median!);
    }
    expect(speeds[0]).not.toBe(speeds[1]);
  });

  it('shares a folder with another sweep', async () => {
    const definition = { ...cheap, seeds: [1, 2, 3] };
    const outcomes = await Promise.all([sweep(definition), sweep(definition)]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ isComplete: true, runs: 18, failed: [] });
    expect(outcomes[0].stored + outcomes[1].stored).toBe(18);
    expect(await recordsOf('cheap')).toHaveLength(18);
    expect(await readdir(results)).toEqual(['cheap']);
  });

  it('counts as published where asked', async () => {
    const definition: ExperimentDefinition = {
      ...{ ...cheap, metric: 'countedTokensPerSecond' },
      settings: {
        ...{ machine: 'env1', target: 'mistral-7b', draft: 'mistral-7b', strategy: 'serial' },
        ...{ acceptance: 0.5, prompts: 4, promptTokens: 16, maxNewTokens: 6 },
      },
      axes: { accounting: ['useful', 'as-published'] },
    };
    const { ranking } = await sweep(definition);
    const records = await recordsOf('cheap');
    const published = records.find(({ point }) => point?.axes.accounting === 'as-published')!;
    expect(published.policy.ending).toBe('slowest');
    const { generatedTokens, seconds } = published.result;
    const ranked = ranking.find(({ axes }) => axes.accounting === 'as-published');
    expect(ranked!.median).toBe(generatedTokens / seconds);
  });

  it.each<[string, object, string]>([
    ['a filter that leaves nothing', { filter: 'prompts > 99' }, 'the filters leave no point'],
    ['a filter that reaches out', { filter: 'process' }, 'process is no axis or setting'],
    ['repeats of a prediction', { repeats: 2 }, 'invalid repeats: 2'],
    ['halving of single runs', { search: 'halving' }, 'invalid search: halving'],
    ['no threads', { workers: 0 }, 'invalid workers: 0'],
    ['no time', { maxSeconds: 0 }, 'invalid maxSeconds: 0'],
  ])('refuses %s before anything is written', async (_what, options, message) => {
    await expect(runExperiment(cheap, { results, ...options })).rejects.toThrow(message);
    expect(await readdir(results)).toEqual([]);
  });
});

describe('halving', () => {
  it('spends the runs on the better half, and keeps the baseline', async () => {
    const definition = { ...cheap, seeds: [1, 2, 3, 4], baseline: { prompts: 1 } };
    const outcome = await sweep(definition, { search: 'halving' });
    const runs = Object.fromEntries(outcome.ranking.map(({ axes, values }) => [axes.prompts, values.length]));
    // 6 points once; the better 3 and the baseline twice; the better 2 and the baseline four times.
    expect(runs).toEqual({ 32: 4, 16: 4, 8: 2, 4: 1, 2: 1, 1: 4 });
    expect(outcome.pruned.map(({ axes }) => axes.prompts)).toEqual([2, 4, 8]);
    expect(outcome).toMatchObject({ isComplete: true, stored: 16, runs: 16 });
    const again = await sweep(definition, { search: 'halving' });
    expect(again).toMatchObject({ stored: 0, before: 16, isComplete: true });
    expect(again.ranking).toEqual(outcome.ranking);
  });

  it('lets go of no run that is there already', async () => {
    const definition = { ...cheap, seeds: [1, 2] };
    await sweep(definition, {});
    expect(await sweep(definition, { search: 'halving' })).toMatchObject({
      ...{ stored: 0, runs: 12, isComplete: true },
    });
  });
});
