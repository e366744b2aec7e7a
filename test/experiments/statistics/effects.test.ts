/** What each axis brings: by hand, paired by repeat, and only where every combination was run. */

import { describe, expect, it } from 'vitest';
import {
  type Effects,
  effectsOf,
  effectTables,
  isComplete,
} from '../../../experiments/src/statistics/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

const aim = { name: 'test', baseline: { draft: 'no', search: 'no' } };

/** Speed of a point; repeats scatter together, as a slower machine slows all. */
function recordsOf(
  speedOf: (draft: string, search: string, batch: number) => number,
  repeats: readonly number[] = [1, 1.1, 0.9],
) {
  return repeats.flatMap((factor, repeat) =>
    ['no', 'yes'].flatMap((draft) =>
      ['no', 'yes'].flatMap((search) =>
        [1, 2, 4].map((batch) =>
          fakeRecord({
            axes: { draft, search, batch },
            tokensPerSecond: factor * speedOf(draft, search, batch),
            repeat,
          }),
        ),
      ),
    ),
  );
}

const complete = (records: Parameters<typeof effectsOf>[0], of = aim): Effects => {
  const [effects] = effectsOf(records, of);
  if (!effects || !isComplete(effects)) throw new Error('incomplete');
  return effects;
};
const find = (effects: Effects['main'], ...tos: unknown[]) =>
  effects.find(({ changes }) => JSON.stringify(changes.map(({ to }) => to)) === JSON.stringify(tos))!;

describe('effectsOf', () => {
  it('finds what multiplies, whatever all repeats share, and no interaction', () => {
    const effects = complete(
      recordsOf((draft, search, batch) => (draft === 'yes' ? 2 : 1) * (search === 'yes' ? 1.5 : 1) * batch),
    );
    expect(effects.main.map(({ changes }) => changes[0])).toEqual([
      { axis: 'draft', from: 'no', to: 'yes' },
      { axis: 'search', from: 'no', to: 'yes' },
      { axis: 'batch', from: 1, to: 2 },
      { axis: 'batch', from: 1, to: 4 },
    ]);
    for (const [i, ratio] of [2, 1.5, 2, 4].entries()) {
      expect(effects.main[i]!.ratio).toBeCloseTo(ratio, 9);
      expect(effects.main[i]!.low).toBeCloseTo(ratio, 9);
      expect(effects.main[i]!.verdict).toBe('faster');
    }
    expect(effects.interactions).toHaveLength(5);
    for (const { ratio, verdict } of effects.interactions) {
      expect(ratio).toBeCloseTo(1, 9);
      expect(verdict).toBe('not distinguishable');
    }
  });

  it('says how many times more one brings with the other, furthest from 1 first', () => {
    const effects = complete(
      recordsOf((draft, search, batch) => (draft === 'yes' && search === 'yes' ? 4 : 1) * batch),
    );
    expect(find(effects.main, 'yes').ratio).toBeCloseTo(2, 9);
    expect(effects.interactions[0]!.changes.map(({ axis }) => axis)).toEqual(['draft', 'search']);
    expect(effects.interactions[0]!.ratio).toBeCloseTo(4, 9);
  });

  it('parts the way from the baseline to the best, each alone and each last', () => {
    const { attribution } = complete(
      recordsOf(
        (draft, search, batch) =>
          batch * (draft === 'yes' ? 2 : 1) * (search === 'yes' ? (draft === 'yes' ? 3 : 1.5) : 1),
      ),
    );
    expect(attribution!.at).toEqual({ batch: 4 });
    expect(attribution!.together.ratio).toBeCloseTo(6, 9);
    const parts = attribution!.changes.map(({ axis, alone, last }) => [axis, alone.ratio, last.ratio]);
    expect(parts).toEqual([
      ['draft', expect.closeTo(2, 9), expect.closeTo(4, 9)],
      ['search', expect.closeTo(1.5, 9), expect.closeTo(3, 9)],
    ]);
  });

  it('claims nothing of fewer than three repeats, and pairs only repeats that all points have', () => {
    const speed = (draft: string) => (draft === 'yes' ? 2 : 1);
    expect(find(complete(recordsOf(speed, [1, 1.1])).main, 'yes')).toMatchObject({
      n: 2,
      low: null,
      verdict: 'no verdict',
    });
    const four = recordsOf(speed, [1, 1.1, 0.9, 1.05]);
    expect(find(complete(four.slice(0, -1)).main, 'yes').n).toBe(3);
    const [main] = effectTables(complete(recordsOf(speed, [1])));
    expect(main!.rows[0]).toMatchObject({
      name: 'draft no → yes',
      verdict: 'no verdict: one run each, 3 are needed',
    });
  });

  it('calls less better where that is so', () => {
    const lower = { ...aim, lowerIsBetter: true };
    const effects = complete(
      recordsOf((draft) => (draft === 'yes' ? 2 : 1)),
      lower,
    );
    expect(effects.main[0]).toMatchObject({ verdict: 'slower' });
    expect(effects.main[0]!.ratio).toBeCloseTo(2, 9);
    expect(effects.attribution).toBeNull();
  });

  it('says what is missing of a grid, and nothing of a single axis', () => {
    const records = recordsOf(() => 1, [1]);
    expect(effectsOf(records.slice(1), aim)).toEqual([{ kind: 'measured', points: 11, combinations: 12 }]);
    expect(effectsOf([fakeRecord({ axes: { a: 1 }, tokensPerSecond: 1 })], aim)).toEqual([]);
    expect(effectsOf([], aim)).toEqual([]);
  });

  it('keeps measurements and predictions apart', () => {
    const predicted = ['no', 'yes'].flatMap((draft) =>
      ['no', 'yes'].map((search) =>
        fakePrediction({ axes: { draft, search, batch: 1 }, tokensPerSecond: 1 }),
      ),
    );
    const all = effectsOf([...recordsOf(() => 1, [1]), ...predicted], aim);
    expect(all.map((one) => [one.kind, isComplete(one)])).toEqual([
      ['measured', true],
      ['simulated', true],
    ]);
  });
});
