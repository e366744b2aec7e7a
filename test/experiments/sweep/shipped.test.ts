/** The experiments that ship: all are sound, and their small forms run. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expandPoints } from '../../../experiments/src/definitions/expand.js';
import { type RunRecord, readRuns } from '../../../experiments/src/store/index.js';
import {
  type ExperimentDefinition,
  openExperiment,
  runExperiment,
} from '../../../experiments/src/sweep/index.js';

let results: string;
beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-shipped-'));
});
afterAll(async () => {
  await rm(results, { recursive: true, force: true });
});

/** One thread: each has to load and to compile what these few predictions need. */
const small = () => ({ results, quick: true, workers: 1 });

/** Nobody looks at the times. */
const withoutWarmup = (definition: ExperimentDefinition): ExperimentDefinition => ({
  ...definition,
  quick: { ...definition.quick, warmups: 0 },
});

const recordsOf = async (experiment: string): Promise<RunRecord[]> =>
  (await readRuns({ results, experiment })).map(({ record }) => record);

describe('shipped experiments', () => {
  // Points of the full form; overall has the published bars.
  it.each([
    ['overall', 168],
    ['candidates', 88],
    ['batch', 40],
    ['memory', 36],
    ['planned', 20],
    ['placement', 20],
    ['acceptance', 128],
    ['ablation', 16],
    ['draft-size', 48],
    ['prediction', 30],
    ['wind-tunnel', 10],
    ['wind-tunnel-options', 11],
    ['energy', 36],
    ['camel', 49],
    ['camel-qwen', 49],
    ['in-memory', 55],
  ])('%s has %i points', async (name, numPoints) => {
    const definition = await openExperiment(name);
    expect(definition.name).toBe(name);
    expect([...expandPoints(definition)]).toHaveLength(numPoints);
  });

  it.each(['overall', 'candidates', 'batch', 'memory', 'placement', 'acceptance', 'ablation', 'draft-size'])(
    '%s runs in its small form',
    async (name) => {
      const outcome = await runExperiment(await openExperiment(name), small());
      expect(outcome).toMatchObject({ isComplete: true, failed: [] });
      expect(outcome.stored).toBeGreaterThan(outcome.refused.length);
    },
  );

  it('overall in its small form finds SpecOffload ahead of FlexGen and FlexGen ahead of Accelerate', async () => {
    const { ranking } = await runExperiment(await openExperiment('overall'), small());
    expect(ranking.map(({ axes }) => axes.system)).toEqual(['SpecOffload', 'FlexGen', 'Accelerate']);
  });

  it('ablation finds each idea to help, and counting as published to flatter', async () => {
    const outcome = await runExperiment(await openExperiment('ablation'), small());
    const speed = (...values: string[]) =>
      outcome.ranking.find(({ axes }) => Object.values(axes).join() === values.join())!.median!;
    const all = speed('useful', 'yes', 'yes', 'yes');
    expect(all).toBeGreaterThan(speed('useful', 'yes', 'no', 'yes'));
    expect(all).toBeGreaterThan(speed('useful', 'yes', 'yes', 'no'));
    expect(speed('as-published', 'yes', 'yes', 'yes')).toBeGreaterThan(all);
    expect(speed('as-published', 'no', 'yes', 'yes')).toBe(speed('useful', 'no', 'yes', 'yes'));
  });

  it('wind-tunnel measures its systems in its small form', async () => {
    const shipped = withoutWarmup(await openExperiment('wind-tunnel'));
    const settings = { ...shipped.quick!.settings, target: 'pair', prompts: 2, maxNewTokens: 4 };
    const definition = { ...shipped, quick: { ...shipped.quick, settings } };
    const outcome = await runExperiment(definition, { ...small(), repeats: 1 });
    expect(outcome).toMatchObject({ stored: 3, isComplete: true, failed: [], refused: [] });
    expect(outcome.agreement?.errors).toEqual([]);
    for (const record of await recordsOf('wind-tunnel'))
      expect(record.kind === 'measured' && record.machine.caps.linkBytesPerSecond).toBe(150e6);
  }, 600_000);

  it('prediction measures and predicts the same points', async () => {
    const shipped = withoutWarmup(await openExperiment('prediction'));
    const settings = { ...shipped.quick!.settings, target: 'pair' };
    const definition = { ...shipped, quick: { ...shipped.quick, settings } };
    // Some machine: whether it is this one is not asked here.
    const elsewhere = { ...definition, predictOn: 'env1' };
    const options = { ...small(), filter: 'policy == "none" or policy == "serial, 4 candidates"' };
    const outcome = await runExperiment(elsewhere, options);
    expect(outcome).toMatchObject({ stored: 2, isComplete: true });
    const records = await recordsOf('prediction');
    const axesOf = (kind: string) =>
      records.filter((record) => record.kind === kind).map(({ point }) => point!.axes.policy);
    expect(axesOf('measured').sort()).toEqual(['none', 'serial, 4 candidates']);
    expect(axesOf('simulated').sort()).toEqual(['none', 'serial, 4 candidates']);
    const [measured, predicted] = ['measured', 'simulated'].map((kind) =>
      records.find((record) => record.kind === kind && record.strategy === 'serial'),
    );
    // What the draft gets right of these very texts was recorded, so that the prediction counts the same.
    expect(predicted!.result.acceptance).toMatchObject({ accepted: measured!.result.acceptance!.accepted });
    expect(await runExperiment(elsewhere, options)).toMatchObject({ stored: 0, before: 2 });
    expect(await recordsOf('prediction')).toHaveLength(4);
  }, 600_000);
});
