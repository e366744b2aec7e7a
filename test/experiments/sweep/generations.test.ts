import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  defineExperiment,
  type ExperimentDefinition,
  figures,
  readDefinitions,
  readRuns,
  runExperiment,
  type StoredRun,
  splitGenerations,
  toRows,
} from '../../../experiments/src/index.js';
import { callCli } from '../cli.js';
import { fakeRecord } from '../fake-records.js';

const first = defineExperiment({
  name: 'asked',
  question: 'How many candidates?',
  kind: 'simulated',
  metric: 'seconds',
  lowerIsBetter: true,
  settings: { machine: 'env1', acceptance: 0.7, prompts: 8, promptTokens: 16, maxNewTokens: 4 },
  axes: { strategy: ['serial', 'specoffload'], candidates: [2, 4] },
  seeds: [1, 2, 3],
  baseline: { strategy: 'serial' },
});
/** Two of its candidates were run before, with another acceptance. */
const second: ExperimentDefinition = {
  ...first,
  settings: { ...first.settings, acceptance: 0.5 },
  axes: { ...first.axes, candidates: [4, 8] },
};

let results: string;
const sweep = (definition: ExperimentDefinition) => runExperiment(definition, { results, workers: 1 });
const generations = async () =>
  splitGenerations(await readRuns({ results, experiment: 'asked' }), await readDefinitions(results, 'asked'));
const rank = async (...args: string[]) => {
  const { stdout } = await callCli(['runs', 'rank', 'asked', '--results', results, '--json', ...args]);
  return JSON.parse(stdout);
};

beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-generations-'));
  await sweep(first);
  await sweep(second);
}, 120_000);
afterAll(() => rm(results, { recursive: true, force: true }));

describe('definitions in the store', () => {
  it('lie beside their records, which name them, the one asked for last first', async () => {
    const stored = await readDefinitions(results, 'asked');
    expect(stored.map(({ definition }) => definition)).toEqual([second, first]);
    const named = (await readRuns({ results })).map(({ record }) => record.point!.definition);
    expect(new Set(named)).toEqual(new Set(stored.map(({ digest }) => digest)));
  });

  it('are passed over by whoever looks for runs, and written once', async () => {
    const warnings: string[] = [];
    const runs = await readRuns({ results, onWarning: (sentence) => warnings.push(sentence) });
    expect([runs.length, warnings]).toEqual([24, []]);
    const filesIn = async () =>
      Promise.all(
        (await readdir(join(results, 'asked')))
          .filter((name) => name.startsWith('definition-'))
          .map((name) => readFile(join(results, 'asked', name), 'utf8')),
      );
    const before = await filesIn();
    expect((await sweep(second)).stored).toBe(0);
    expect(await filesIn()).toEqual(before);
  });

  it('that are none are named and passed over', async () => {
    const path = join(results, 'asked', `definition-${'0'.repeat(32)}.json`);
    const warnings: string[] = [];
    for (const text of [
      '{',
      '{"askedAt": 1}',
      JSON.stringify({ askedAt: '2026-01-01', definition: first }),
    ]) {
      await writeFile(path, text);
      expect(await readDefinitions(results, 'asked', (sentence) => warnings.push(sentence))).toHaveLength(2);
    }
    await rm(path);
    expect(warnings).toEqual([
      expect.stringContaining('is not valid JSON'),
      expect.stringContaining('invalid askedAt: 1; expected a time; remove it: no sweep wrote this'),
      expect.stringContaining('was edited'),
    ]);
  });
});

describe('generations', () => {
  it('are runs that were asked for with the same settings, whatever values of the axes', async () => {
    expect((await generations()).map(({ settings, runs }) => [settings, runs.length])).toEqual([
      ['acceptance 0.5', 12],
      ['acceptance 0.7', 12],
    ]);
  });

  it('are ranked apart, by the question that was stored', async () => {
    const document = await rank();
    expect(document).toMatchObject({
      metric: 'seconds',
      lowerIsBetter: true,
      baseline: { strategy: 'serial' },
    });
    expect(document.generations).toHaveLength(2);
    for (const { points } of document.generations) {
      expect(points).toHaveLength(4);
      for (const { sample } of points) expect(sample.n).toBe(3);
    }
    const text = (await callCli(['runs', 'rank', 'asked', '--results', results])).stdout;
    expect(text).toMatch(/^acceptance 0\.5, 12 runs[\s\S]*\nacceptance 0\.7, 12 runs/);
  });

  it('are chosen by their id', async () => {
    const [, older] = await generations();
    const document = await rank('--generation', older!.id);
    expect(document).toMatchObject({ generation: older!.id, settings: 'acceptance 0.7' });
    const { exitCode, stderr } = await callCli([
      ...['runs', 'rank', 'asked', '--results', results],
      ...['--generation', 'none'],
    ]);
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining('invalid --generation: none; asked has '),
    ]);
  });

  it('are reported one at a time, the others named', async () => {
    const out = join(results, 'page.html');
    const { stderr } = await callCli(['report', 'asked', '--results', results, '--out', out, '--json']);
    expect(stderr).toContain('one of 2 sets of settings under this name: acceptance 0.5, 12 runs');
    expect(await readFile(out, 'utf8')).toContain('not shown, --generation chooses: acceptance 0.7');
  });

  it('do not mix in a figure', async () => {
    const rows = toRows(await readRuns({ results, experiment: 'asked' }));
    expect(() => figures.sweepCurves(rows, { x: 'candidates', series: 'strategy' })).toThrow(
      'acceptance (0.7, 0.5) varies where candidates and strategy are the same',
    );
  });

  it('grow: a definition with more values, seeds or filters asks for the same settings', async () => {
    const definitions = [
      { ...first, axes: { ...first.axes, candidates: [2, 4, 6] } },
      { ...first, seeds: [1] },
      { ...first, filters: ['candidates < 4'], question: 'Another one?' },
    ].map((definition, i) => ({ digest: `${i}`.repeat(32), definition, askedAt: '2026-01-01T00:00:00Z' }));
    const runs = (await readRuns({ results, experiment: 'asked' })).filter(
      ({ record }) => record.point!.settings.acceptance === 0.7,
    );
    expect(splitGenerations(runs, definitions)).toMatchObject([{ id: '00000000', settings: '', runs }]);
  });
});

describe('runs whose definition is not stored', () => {
  const at = (
    axes: Record<string, string | number>,
    settings: Record<string, string | number>,
  ): StoredRun => ({
    record: fakeRecord({ axes, settings, tokensPerSecond: 1 }),
    folder: '/nowhere',
  });
  const axesOf = (runs: readonly StoredRun[]) =>
    splitGenerations(runs, [])[0].runs.map(({ record }) => record.point!.axes);

  it('have every setting that varies among their axes', () => {
    expect(
      axesOf([at({ candidates: 2 }, { acceptance: 0.7 }), at({ candidates: 8 }, { acceptance: 0.5 })]),
    ).toEqual(
      expect.arrayContaining([
        { candidates: 2, acceptance: 0.7 },
        { candidates: 8, acceptance: 0.5 },
      ]),
    );
  });

  it('but not what follows from the name of a system', () => {
    const runs = [at({ system: 'a' }, { decodeBatch: 12 }), at({ system: 'b' }, { decodeBatch: 16 })];
    const named = runs.map(({ record, folder }) => {
      const { system: _name, ...settings } = record.point!.settings;
      return { record: { ...record, point: { ...record.point!, settings } }, folder };
    });
    expect(axesOf(named)).toEqual(expect.arrayContaining([{ system: 'a' }, { system: 'b' }]));
  });
});
