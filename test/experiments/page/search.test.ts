/** A report of points that a search chose: its steps, its front, what it believed, and files that are none of it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { searchCharts, searchTable } from '../../../experiments/src/page/search.js';
import { readRecordedSearch } from '../../../experiments/src/sweep/recorded-search.js';
import { hostile } from './experiment.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-recorded-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(content: unknown) {
  const warnings: string[] = [];
  await writeFile(join(folder, 'beliefs.json'), JSON.stringify(content));
  const search = await readRecordedSearch(folder, (sentence) => warnings.push(sentence));
  return { search, warnings };
}

const step = (batch: number, values: readonly number[] | null, gain: number | null = 0.1) => ({
  ...{ axes: { batch, text: hostile }, expectedGain: gain, values, runs: values ? 2 : 0 },
  ...{ believed: gain === null ? null : [{ median: 9, factor: 1.05 }], isPruned: false, best: 12 },
});
const bayesian = {
  ...{ search: 'bayesian', seed: 1, metric: 'tokensPerSecond', lowerIsBetter: false, points: 40 },
  objectives: [{ metric: 'tokensPerSecond', lowerIsBetter: false }],
  steps: [step(1, [10], null), step(2, [8]), step(4, null), step(8, [12])],
  ...{ isSketched: true, front: [], remainingGain: 0.05, isConverged: false },
};

describe('a recorded search', () => {
  it('is drawn step by step, with the best so far, and with what could not be run left out', async () => {
    const { search } = await read(bayesian);
    const [chart] = searchCharts(search!);
    const [reached, best] = chart!.choices[0]!.figure.data as { x: number[]; y: number[] }[];
    expect([reached!.x, reached!.y]).toEqual([
      [1, 2, 4],
      [10, 8, 12],
    ]);
    expect(best!.y).toEqual([10, 10, 12]);
    expect(search!.sentence).toContain('tried 4 of 40 points');
    expect(search!.sentence).toContain('NOT converged: of the next point 5.0 % more is expected; --rounds 8');
  });

  it('shows what was believed as text', async () => {
    const { search } = await read(bayesian);
    const html = searchTable(search!);
    expect(html).toContain('9.00 ×/÷ 1.050; 10 % more expected');
    expect(html).toContain('cannot be run');
    expect(html).not.toContain('<img');
  });

  it('has a front of two objectives, each in its own direction', async () => {
    const objectives = [...bayesian.objectives, { metric: 'joules', lowerIsBetter: true }];
    const steps = [step(1, [10, 5]), step(2, [8, 6]), step(4, [12, 9]), step(8, [12, 8])];
    const { search } = await read({ ...bayesian, objectives, steps });
    const [front] = searchCharts(search!)[0]!.choices;
    expect(front!.label).toBe('front');
    expect((front!.figure.data[1] as { x: number[] }).x).toEqual([10, 12]);
  });

  it('may be one by Thompson sampling', async () => {
    const belief = { mean: 1, sigma: 0.1, pulls: 1 };
    const rounds = [{ axes: { batch: 1 }, value: 1.1, belief }];
    const { search } = await read({ metric: 'requestCost', lowerIsBetter: true, seed: 1, rounds });
    expect(search).toMatchObject({ how: 'thompson', steps: [{ values: [1.1], runs: 1 }] });
  });

  it('is passed over with a sentence where it cannot be read', async () => {
    for (const content of [{ ...bayesian, steps: 'many' }, { rounds: [] }, 3]) {
      const { search, warnings } = await read(content);
      expect(search).toBeNull();
      expect(warnings[0]).toContain('beliefs.json');
    }
    await rm(join(folder, 'beliefs.json'));
    expect(await readRecordedSearch(folder, () => {})).toBeNull();
  });
});
