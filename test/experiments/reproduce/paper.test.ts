import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, openPaper, readRuns, toFigureRows } from '../../../experiments/src/index.js';

let directory: string;

/** A reference of one figure each, small enough to predict whole. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'paper-'));
  const owner = { model: 'Mixtral 8x7B', environment: 'env1', dataset: 'HumanEval', generationLength: 4 };
  const memory = { system: 'FlexGen', model: 'Mixtral 8x7B' };
  const files = {
    'throughput.json': [
      { ...owner, system: 'Accelerate', tokensPerSecond: 10 },
      { ...owner, system: 'SpecOffload', tokensPerSecond: 20 },
    ],
    'policies.json': [
      { ...owner, system: 'Accelerate', batch: 8 },
      { ...owner, system: 'Accelerate', dataset: 'SummEval', batch: 8 },
      { ...owner, system: 'FlexGen', dataset: 'SummEval', batch: 4 },
      ...['HumanEval', 'SummEval'].map((dataset) => ({
        ...{ ...owner, dataset, system: 'SpecOffload' },
        ...{ decodeBatch: 16, batches: 2, prefillBatch: 8, draftBatch: 8, candidates: 4 },
      })),
    ],
    'ablation.json': [{ ...owner, variant: 'serial speculative decoding', tokensPerSecond: 15 }],
    'gpu-utilization.json': [{ system: 'Accelerate', gpuCoreUtilizationPercent: 7 }],
    'gpu-memory.json': [
      { ...memory, gpuMemoryGB: 4, tokensPerSecond: 5 },
      { ...memory, gpuMemoryGB: 9, tokensPerSecond: 6 },
    ],
  };
  for (const [name, content] of Object.entries(files))
    await writeFile(join(directory, name), JSON.stringify(content));
});

afterAll(() => rm(directory, { recursive: true }));

describe('the paper, figure by figure', () => {
  it('predicts what it is asked for, says how far it is, and stores whole runs once', async () => {
    const results = join(directory, 'results');
    const notes: string[] = [];
    const onProgress = ({ done, total, note }: { done: number; total: number; note: string }) =>
      notes.push(`${done} of ${total}: ${note}`);
    const paper = await openPaper({ reference: directory, results, onProgress });
    const bars = await paper.predictBars();
    expect(bars.map(({ system }) => system)).toEqual(['Accelerate', 'SpecOffload']);
    for (const bar of bars) expect(errorOf(bar)).toBeGreaterThan(-1);
    expect(notes).toEqual([
      '0 of 2: Accelerate, Mixtral 8x7B, HumanEval, 4',
      '1 of 2: SpecOffload, Mixtral 8x7B, HumanEval, 4',
    ]);
    await paper.predictBars();
    const stored = await readRuns({ results });
    expect(stored.map(({ record }) => record.kind)).toEqual(['simulated', 'simulated']);
  });

  it('stores nothing of shortened runs, and predicts no bars but those that are wanted', async () => {
    const results = join(directory, 'quick');
    const paper = await openPaper({ reference: directory, results, quick: true });
    const bars = await paper.predictBars(({ system }) => system === 'SpecOffload');
    expect(bars.map(({ system }) => system)).toEqual(['SpecOffload']);
    const [ablation] = await paper.predictAblation();
    expect(ablation!.predicted).toBeGreaterThan(0);
    await expect(readdir(results)).rejects.toThrow('ENOENT');
  });

  it('knows what the device waited for', async () => {
    const paper = await openPaper({ reference: directory, quick: true });
    const [run] = await paper.predictUtilization();
    const { decode } = run!.phases;
    expect(run!.predicted).toBeCloseTo(100 * decode.lanes.device.utilization);
    const idle = Object.values(decode.deviceIdle).reduce((sum, seconds) => sum + seconds);
    expect(idle + decode.lanes.device.busySeconds).toBeCloseTo(decode.seconds);
  });

  it('has the job behind a figure for the planner', async () => {
    const paper = await openPaper({ reference: directory });
    const job = paper.jobOf({
      ...{ model: 'Mixtral 8x7B', environment: 'env1', dataset: 'HumanEval', generationLength: 4 },
    });
    expect(job.promptLengths).toHaveLength(32);
    expect(job.machine.name).toBe('env1');
    expect(job.publishedPolicy).toMatchObject({ decodeBatch: 16, candidates: 4, draftCache: 'recompute' });
  });
});

it('toFigureRows puts what was published beside what is predicted', () => {
  expect(toFigureRows([{ system: 'FlexGen', tokensPerSecond: 10, predicted: 12 }])).toEqual([
    { system: 'FlexGen', kind: 'published', tokensPerSecond: 10 },
    { system: 'FlexGen', kind: 'predicted', tokensPerSecond: 12 },
  ]);
});
