/** Bayesian search: what is believed of points, which one is proposed, how it is raced, and the search in a store. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom } from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runGrid, trySearch } from '../../../experiments/src/bench/search.js';
import { placePoints } from '../../../experiments/src/sweep/bayesian/features.js';
import { believe } from '../../../experiments/src/sweep/bayesian/gaussian-process.js';
import { normalProbability } from '../../../experiments/src/sweep/bayesian/normal.js';
import { BayesianSearch } from '../../../experiments/src/sweep/bayesian/proposals.js';
import { deservesMore, frontOf } from '../../../experiments/src/sweep/bayesian/race.js';
import {
  type ExperimentDefinition,
  openExperiment,
  runExperiment,
  type SweepOptions,
} from '../../../experiments/src/sweep/index.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';

/** Every combination. */
function cross(axes: Readonly<Record<string, readonly (string | number)[]>>) {
  let points: Record<string, string | number>[] = [{}];
  for (const [name, values] of Object.entries(axes))
    points = points.flatMap((point) => values.map((value) => ({ ...point, [name]: value })));
  return points;
}

it.each([
  [0, 0.5],
  [1.959964, 0.975],
  [-3, 0.0013498980316],
  [-6, 9.865876450377e-10],
])('knows how likely it is to be below %f', (z, probability) => {
  expect(normalProbability(z) / probability).toBeCloseTo(1, 6);
});

describe('places of points', () => {
  it('are steps of a grid for numbers and sizes, whatever their order, and names for the rest', () => {
    const { isOrdered, places } = placePoints(
      cross({ batch: [64, 4, 512], memory: ['1GB', '512MB'], system: ['a', 'b'], same: [1] }),
    );
    expect(isOrdered).toEqual([true, true, false]);
    expect(places[0]).toEqual([1, 1, 0]);
    expect(places.at(-1)).toEqual([2, 0, 1]);
  });
});

describe('a belief', () => {
  const space = placePoints(cross({ x: Array.from({ length: 21 }, (_, i) => i), system: ['a', 'b'] }));
  const at = (x: number, system: 'a' | 'b') => 2 * x + (system === 'b' ? 1 : 0);
  /** A bend over x, and one system better by as much everywhere. */
  const truth = (index: number) => -(((index >> 1) - 12) ** 2) / 100 + (index % 2) * 0.3;
  const known = [at(0, 'a'), at(5, 'a'), at(10, 'a'), at(15, 'a'), at(20, 'a'), at(10, 'b')];
  const predict = believe(
    space,
    known.map((index) => [index, truth(index)]),
    0.5,
    createRandom(1, 'test'),
  );
  const meanAt = (index: number) => predict(index).reduce((sum, one) => sum + one.weight * one.mean, 0);
  const sigmaAt = (index: number) => predict(index).reduce((sum, one) => sum + one.weight * one.sigma, 0);

  it('is close to what was seen, and sure of it', () => {
    for (const index of known) expect(Math.abs(meanAt(index) - truth(index))).toBeLessThan(0.05);
    expect(sigmaAt(at(10, 'a'))).toBeLessThan(0.05);
    expect(sigmaAt(at(20, 'b'))).toBeGreaterThan(2 * sigmaAt(at(10, 'b')));
  });

  it('carries over from one name to the other', () => {
    expect(meanAt(at(12, 'b'))).toBeGreaterThan(meanAt(at(12, 'a')) + 0.1);
    expect(meanAt(at(11, 'b'))).toBeGreaterThan(meanAt(at(2, 'b')));
  });
});

describe('a search', () => {
  const axes = cross({ system: ['a', 'b', 'c', 'd'], batch: [1, 2, 4, 8, 16, 32, 64, 128] });
  const scores = axes.map(
    ({ system, batch }) => 'abcd'.indexOf(String(system)) / 3 - ((Math.log2(Number(batch)) - 5) / 4) ** 2,
  );
  const order = (seed: number, sketch: readonly number[] | null, length = 10) => {
    const search = new BayesianSearch({ ...placePoints(axes), sketches: [sketch] }, seed);
    return Array.from({ length }, () => {
      const { index } = search.propose()!;
      search.learn(index, [scores[index]!]);
      return index;
    });
  };
  const best = scores.indexOf(Math.max(...scores));

  it('chooses the same with the same seed, another way with another, and nothing twice', () => {
    expect(order(1, null)).toEqual(order(1, null));
    expect(order(2, null)).not.toEqual(order(1, null));
    const all = order(1, null, axes.length);
    expect(new Set(all).size).toBe(axes.length);
  });

  it('finds the best of 32 points in ten, most of the time', () => {
    const found = [1, 2, 3, 4, 5, 6, 7].filter((seed) => order(seed, null).includes(best));
    expect(found.length).toBeGreaterThanOrEqual(5);
  });

  it('begins where a sketch promises most, and finds what the sketch is wrong about', () => {
    const biased = scores.map((score, i) => score + (axes[i]!.system === 'a' ? 1.2 : 0));
    expect(order(1, scores)[0]).toBe(best);
    expect(axes[order(1, biased)[0]!]!.system).toBe('a');
    expect(order(1, biased)).toContain(best);
  });

  it('misses none of very many points that a sketch promises most of', () => {
    const side = Array.from({ length: 60 }, (_, i) => i);
    const many = cross({ x: side, y: side });
    const height = many.map(({ x, y }) => -Math.abs(Number(x) - 41) - Math.abs(Number(y) - 17));
    const search = new BayesianSearch({ ...placePoints(many), sketches: [height] }, 1);
    expect(many[search.propose()!.index]).toEqual({ x: 41, y: 17 });
  });

  it('leaves what cannot be run, and ends when nothing is left', () => {
    const search = new BayesianSearch({ ...placePoints(axes.slice(0, 2)), sketches: [null] }, 1);
    search.learn(search.propose()!.index, null);
    search.learn(search.propose()!.index, [1]);
    expect(search.propose()).toBeNull();
  });

  it('of two objectives finds the front, not the middle of one', () => {
    const points = cross({
      x: Array.from({ length: 15 }, (_, i) => i),
      y: Array.from({ length: 15 }, (_, i) => i),
    });
    // Best where y is 5; along x the one is won as the other is lost.
    const values = points.map(({ x, y }) => {
      const loss = ((Number(y) - 5) / 5) ** 2;
      return [Number(x) / 10 - loss, 1 - Number(x) / 10 - loss];
    });
    const search = new BayesianSearch({ ...placePoints(points), sketches: [null, null] }, 3);
    const tried = Array.from({ length: 16 }, () => {
      const { index } = search.propose()!;
      search.learn(index, values[index]!);
      return index;
    });
    const onFront = tried.filter((index) => points[index]!.y === 5).map((index) => Number(points[index]!.x));
    expect(onFront.length).toBeGreaterThanOrEqual(5);
    expect(Math.max(...onFront) - Math.min(...onFront)).toBeGreaterThanOrEqual(8);
  });
});

describe('a race', () => {
  const speed = [{ metric: 'tokensPerSecond', lowerIsBetter: false }];
  const runsOf = (...values: number[]) => values.map((value) => [value]);

  it.each([
    ['the first', runsOf(1), [], true],
    ['one of the better half', runsOf(4), [runsOf(3), runsOf(2), runsOf(5)], true],
    ['one of the worse half', runsOf(2), [runsOf(3), runsOf(5), runsOf(1)], false],
    ['by three runs not told apart', runsOf(9, 11, 10), [runsOf(10, 10, 11)], true],
    ['by three runs clearly worse', runsOf(9, 9.1, 9), [runsOf(10, 10.2, 10.1)], false],
  ])('goes on for %s: %j', (_name, runs, others, goesOn) => {
    expect(deservesMore(runs, others, speed)).toBe(goesOn);
  });

  it('lets nobody go who is better in one of two', () => {
    const both = [...speed, { metric: 'joules', lowerIsBetter: true }];
    const fast = [
      [10, 9],
      [10, 9.1],
      [10.1, 9],
    ];
    const thrifty = fast.map(([tokens, joules]) => [tokens! / 2, joules! / 2]);
    const neither = fast.map(([tokens, joules]) => [tokens! / 2, joules!]);
    expect(deservesMore(thrifty, [fast], both)).toBe(true);
    expect(deservesMore(neither, [fast], both)).toBe(false);
    const front = frontOf([{ runs: fast }, { runs: neither }, { runs: thrifty }], both);
    expect(front.map(({ runs }) => runs)).toEqual([fast, thrifty]);
  });
});

describe('a search in a store', () => {
  let results: string;
  beforeAll(async () => {
    results = await mkdtemp(join(tmpdir(), 'specoffload-bayesian-'));
  });
  afterAll(() => rm(results, { recursive: true, force: true }));

  const run = (definition: ExperimentDefinition, options: SweepOptions = {}) =>
    runExperiment(definition, { results, workers: 1, search: 'bayesian', ...options });

  const small: ExperimentDefinition = {
    name: 'small',
    question: 'Which batch, in how much memory?',
    kind: 'simulated',
    settings: {
      ...{ machine: 'jetson-agx-orin-32gb', target: 'llama-3.2-1b', draft: 'none', strategy: 'none' },
      ...{ promptTokens: 8, maxNewTokens: 2, prompts: 8 },
    },
    axes: { deviceMemory: ['1MB', '4GB', '8GB'], decodeBatch: [1, 2, 4, 8] },
    seeds: [1, 2, 3, 4],
  };

  it('goes on where it was stopped, with the choices it would have made', async () => {
    const first = await run(small, { rounds: 3 });
    expect(first.search!.steps).toHaveLength(3);
    const more = await run(small, { rounds: 6 });
    expect(more.before).toBe(first.stored);
    expect(more.search!.steps.slice(0, 3).map(({ axes }) => axes)).toEqual(
      first.search!.steps.map(({ axes }) => axes),
    );
    const again = await run({ ...small, name: 'again' }, { rounds: 6 });
    expect(again.search).toEqual(more.search);
    const kept = JSON.parse(await readFile(join(results, 'small', 'beliefs.json'), 'utf8'));
    expect(kept).toMatchObject({ search: 'bayesian', seed: 1, steps: more.search!.steps });
    expect(more.isComplete).toBe(true);
    expect(more.search!.front[0]!.axes).toMatchObject({ decodeBatch: 8 });
    // Seeds change nothing here: whoever is worse in the first runs gets no more of them.
    expect(more.search!.steps.some(({ isPruned }) => isPruned)).toBe(true);
    expect(more.search!.front[0]!.runs).toBe(4);
  });

  it('meets points that no run can serve, and goes on without them', async () => {
    const all = await run(small, { rounds: 12 });
    expect(all.refused).toHaveLength(4);
    expect(all.search!.steps.filter(({ values }) => values === null)).toHaveLength(4);
    expect(all.search).toMatchObject({ remainingGain: null, isConverged: true });
    expect((await run(small, { rounds: 12 })).search).toEqual(all.search);
  });

  it('weighs objectives, each by its own direction', async () => {
    const { search } = await run(small, { rounds: 9, objectives: ['tokensPerSecond', 'hostPeakBytes'] });
    expect(search!.objectives.map(({ lowerIsBetter }) => lowerIsBetter)).toEqual([false, true]);
    for (const a of search!.front)
      for (const b of search!.front)
        expect(a.values[0]! > b.values[0]! && a.values[1]! < b.values[1]!).toBe(false);
  });

  it('is refused objectives that are none, twice the same, or elsewhere', async () => {
    await expect(run(small, { objectives: ['speed'] })).rejects.toThrow('invalid metric: "speed"');
    await expect(run(small, { objectives: ['seconds', 'seconds'] })).rejects.toThrow(
      'expected different columns',
    );
    await expect(run(small, { objectives: ['seconds'], search: 'full' })).rejects.toThrow(
      'only a search by bayesian has several',
    );
  });

  it('comes within 2 % of the best with a tenth of shipped points', async () => {
    const silent = { write: () => true };
    const options = { output: createOutput(silent, silent, false), signal: new AbortController().signal };
    const grid = await runGrid(await openExperiment('placement'), results, options);
    expect(trySearch(grid, true, 5).reached).toBeGreaterThanOrEqual(0.98);
    expect(trySearch(grid, false, 5).needed.median).toBeLessThan(grid.axes.length / 4);
  });
});
