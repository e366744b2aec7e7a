/** `accuracy --stored`: measured runs that a sweep kept, predicted and judged without being measured again. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import { type MeasuredRecord, readRuns } from '../../../experiments/src/store/index.js';
import { type ExperimentDefinition, runExperiment } from '../../../experiments/src/sweep/index.js';
import { judgeStored } from '../../../experiments/src/sweep/judge-stored.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';

const definition: ExperimentDefinition = {
  ...{ name: 'prediction', question: 'How far off?', kind: 'measured', repeats: 1, warmups: 0 },
  settings: { workload: 'code', maxNewTokens: 6, deviceMemory: '16MB', hostMemory: '8MB' },
  axes: {
    situation: [
      { label: '4 prompts, budgets 25 %', settings: { prompts: 1 } },
      { label: '8 prompts, budgets 25 %', settings: { prompts: 2 } },
    ],
    policy: [
      { label: 'none', settings: { strategy: 'none' } },
      { label: 'serial, 2 candidates', settings: { strategy: 'serial', candidates: 2 } },
      { label: 'serial, 4 candidates', settings: { strategy: 'serial', candidates: 4 } },
    ],
  },
};
const output = createOutput({ write: () => true }, { write: () => true }, false);
const { signal } = new AbortController();

describe('stored runs', () => {
  let results: string;
  beforeAll(async () => {
    results = await mkdtemp(join(tmpdir(), 'specoffload-judged-'));
    await runExperiment(definition, { results, traces: true });
  });
  afterAll(() => rm(results, { recursive: true, force: true }));

  it('are held against predictions by a machine file, each beside what was measured then', async () => {
    const machine = await openMachine('env1');
    const comparisons = await judgeStored({ results, machine, output, signal });
    const records = (await readRuns({ results })).map(({ record }) => record as MeasuredRecord);
    expect(comparisons.map(({ measured }) => measured.tokensPerSecond)).toEqual(
      records.map(({ result }) => result.tokensPerSecond),
    );
    for (const [index, { point, error, predicted, measured, conditions }] of comparisons.entries()) {
      expect(point.strategy).toBe(records[index].strategy);
      expect(error).toBeCloseTo(predicted.tokensPerSecond / measured.tokensPerSecond - 1, 10);
      expect(conditions).toEqual(records[index].conditions);
    }
  });

  it('are predicted by the timelines of others, never by their own', async () => {
    const judged = () => judgeStored({ results, machine: 'timelines', output, signal });
    const speeds = async () => (await judged()).map(({ predicted }) => predicted.tokensPerSecond);
    const before = await speeds();
    const [first] = await readRuns({ results });
    await rm(join(first!.folder, 'trace.json.gz'));
    const after = await speeds();
    expect(after[0]).toBe(before[0]);
    expect(after.slice(1, 5)).not.toEqual(before.slice(1, 5));
    for (const { folder } of await readRuns({ results }))
      await rm(join(folder, 'trace.json.gz'), { force: true });
    await expect(judged()).rejects.toThrow(/no run in .* kept its timeline; measure with --traces/);
  });

  it('have to be there', async () => {
    const empty = join(results, 'none');
    await expect(judgeStored({ results: empty, machine: 'timelines', output, signal })).rejects.toThrow(
      /no measured runs of prediction in .*; measure them with specoffload sweep prediction --traces/,
    );
  });
});
