/** Points whose policy is the planner's pick for them, predicted and measured. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limitsOf, planRun } from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../../../experiments/src/definitions/definition.js';
import { readRuns } from '../../../experiments/src/store/index.js';
import { keyOfPoint } from '../../../experiments/src/store/spec.js';
import { type ExperimentDefinition, runExperiment } from '../../../experiments/src/sweep/index.js';
import { settingsToRun } from '../../../experiments/src/sweep/planned-points.js';
import { openPlannedPrediction, openPredictedJob } from '../../../experiments/src/sweep/predicted-job.js';
import { Shelf } from '../../../experiments/src/sweep/shelf.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';

let results: string;
beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-planned-'));
});
afterAll(async () => {
  await rm(results, { recursive: true, force: true });
});

const shelf = new Shelf(
  createOutput({ write: () => true }, { write: () => true }, false),
  new AbortController().signal,
);
const recordsOf = async (experiment: string) =>
  (await readRuns({ results, experiment })).map(({ record }) => record);

const simulated: ExperimentDefinition = {
  name: 'planned-anew',
  question: 'Is each point planned by itself?',
  kind: 'simulated',
  // What one layer of a small model needs, all of it, and nothing.
  settings: {
    ...{ machine: 'env1', target: 'pair', draft: 'none', prompts: 4, promptTokens: 16, maxNewTokens: 4 },
    ...{
      strategy: 'none',
      experts: 'all',
      refill: 'no',
      residents: 'layers',
      hostShare: 0,
      hostMemory: '1GB',
    },
  },
  axes: {
    who: [
      { label: 'plan', settings: { planned: 'without draft' } },
      { label: 'one by one', settings: { decodeBatch: 1 } },
    ],
    deviceMemory: ['1MB', '8MB', '1GB'],
  },
};

describe('a planned point', () => {
  it('runs what the planner picks for its own memory, under the key of that policy', async () => {
    const notes: string[] = [];
    const outcome = await runExperiment(simulated, {
      results,
      workers: 1,
      onNote: (note) => notes.push(note),
    });
    expect(outcome).toMatchObject({ stored: 4, isComplete: true, failed: [] });
    expect(outcome.refused.map(({ axes }) => axes.who)).toEqual(['plan', 'one by one']);
    expect(outcome.refused[0]!.reason).toMatch(/^no policy fits: /);
    expect(notes.filter((note) => note.includes(': planned who plan'))).toHaveLength(2);

    const records = await recordsOf('planned-anew');
    for (const { point, spec } of records.filter(({ point }) => point!.axes.who === 'plan')) {
      const request = await openPlannedPrediction(point!.settings as Settings, shelf);
      const [pick] = (await planRun(request)).ranked;
      expect(point!.planned).toMatchObject({
        ...{ strategy: 'none', policy: pick!.input, drafter: null },
        plannedFor: { machine: 'env1', deviceBytes: limitsOf(request.machine).deviceBytes, prompts: 4 },
      });
      const job = await openPredictedJob(settingsToRun(point!), shelf);
      expect(spec).toEqual(JSON.parse(JSON.stringify(job.spec)));
      expect(keyOfPoint(point!.axes, job.spec)).toBe(point!.pointKey);
    }
    const rates = records.flatMap(({ point }) => point!.planned?.plannedFor.tokensPerSecond ?? []);
    expect(new Set(rates).size).toBe(2);
    for (const { point } of records.filter(({ point }) => point!.axes.who !== 'plan'))
      expect(point).not.toHaveProperty('planned');
  });

  it('is not planned again where its record is', async () => {
    const notes: string[] = [];
    const outcome = await runExperiment(simulated, {
      results,
      workers: 1,
      onNote: (note) => notes.push(note),
    });
    expect(outcome).toMatchObject({ stored: 0, before: 4, isComplete: true });
    expect(notes.filter((note) => note.includes(': planned who'))).toEqual([]);
  });

  it('is measured with the pick on the machine file that predicts it', async () => {
    const outcome = await runExperiment(
      {
        ...{ name: 'planned-here', question: 'Is it run?', kind: 'measured', predictOn: 'env1' },
        settings: {
          ...{ workload: 'code', prompts: 1, maxNewTokens: 2, deviceMemory: '128MB', hostMemory: '64MB' },
          ...{ strategy: 'none', experts: 'all', residents: 'layers', projections: 'device' },
        },
        axes: { planned: ['without draft'] },
        ...{ repeats: 1, warmups: 0 },
      },
      { results },
    );
    expect(outcome).toMatchObject({ stored: 1, isComplete: true, failed: [], refused: [] });
    const records = await recordsOf('planned-here');
    expect(records.map(({ kind }) => kind).sort()).toEqual(['measured', 'simulated']);
    for (const { strategy, policy, point } of records) {
      expect(point!.planned).toMatchObject({ strategy, plannedFor: { deviceBytes: 128e6, hostBytes: 64e6 } });
      expect(policy).toMatchObject(point!.planned!.policy);
    }
  });
});
