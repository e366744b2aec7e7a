import { describe, expect, it } from 'vitest';
import { compareToBaseline, rank } from '../../../experiments/src/statistics/index.js';
import { type FakePoint, fakePrediction, fakeRecord } from '../fake-records.js';

/** Three interleaved repeats of each point, the machine getting slower. */
const repeats = (axes: FakePoint['axes'], tokensPerSecond: number) =>
  [1, 0.9, 0.7].map((speed, repeat) =>
    fakeRecord({ axes, repeat, tokensPerSecond: tokensPerSecond * speed }),
  );

const records = [
  ...repeats({ system: 'FlexGen', batch: 8 }, 2),
  ...repeats({ system: 'FlexGen', batch: 64 }, 4),
  ...repeats({ system: 'SpecOffload', batch: 8 }, 5),
  ...repeats({ system: 'SpecOffload', batch: 64 }, 6),
];
const definition = { name: 'test', baseline: { system: 'FlexGen' } };

describe('rank', () => {
  it('orders points by the median, best first, whatever the order of records', () => {
    const points = rank([...records].reverse());
    expect(points.map(({ axes, sample }) => [axes.system, axes.batch, sample.n])).toEqual([
      ['SpecOffload', 64, 3],
      ['SpecOffload', 8, 3],
      ['FlexGen', 64, 3],
      ['FlexGen', 8, 3],
    ]);
    expect(points[0]).toMatchObject({ sample: { median: expect.closeTo(5.4) }, overBaseline: null });
  });

  it('puts less first where less is better', () => {
    const [best] = rank(records, { lowerIsBetter: true });
    expect(best!.axes).toEqual({ system: 'FlexGen', batch: 8 });
  });

  it('takes, of equal axes with other settings, the point that was run last', () => {
    const at = (day: number, key: string, tokensPerSecond: number) => {
      const createdAt = new Date(Date.UTC(2026, 0, day));
      const record = fakeRecord({ axes: { a: 1 }, tokensPerSecond, run: { createdAt } });
      return { ...record, point: { ...record.point!, pointKey: key.repeat(32) } };
    };
    const [older, newer] = [at(1, 'a', 9), at(2, 'b', 5)];
    for (const both of [
      [older, newer],
      [newer, older],
    ])
      expect(rank(both)).toMatchObject([{ pointKey: newer.point.pointKey, sample: { n: 1, median: 5 } }]);
    expect(rank([newer, fakeRecord({ axes: { a: 2 }, tokensPerSecond: 3 })])).toHaveLength(2);
  });

  it('leaves out what no experiment asked for', () => {
    const { point: _point, ...stray } = records[0];
    expect(rank([stray])).toEqual([]);
  });

  it.each(['speed', 'strategy', 'key'])('refuses %s as a metric', (metric) => {
    expect(() => rank(records, { metric })).toThrow(
      `invalid metric: "${metric}"; expected tokensPerSecond, `,
    );
  });

  it('counts the tokens that the experiment counts, by that metric', () => {
    const settings = { accounting: 'as-published' };
    // 4 generated tokens in 2 seconds, whatever the record says of those within each sequence's limit.
    const record = fakeRecord({ axes: {}, settings, tokensPerSecond: 1 });
    expect(rank([record], { metric: 'countedTokensPerSecond' })[0].sample.median).toBe(2);
    expect(rank([record])[0].sample.median).toBe(1);
  });

  it('counts disturbed runs and keeps them', () => {
    const disturbed = fakeRecord({ axes: { a: 1 }, tokensPerSecond: 1, isDisturbed: true });
    const quiet = fakeRecord({ axes: { a: 1 }, tokensPerSecond: 2, repeat: 1 });
    expect(rank([disturbed, quiet])).toMatchObject([{ numDisturbed: 1, sample: { n: 2, median: 1.5 } }]);
  });
});

describe('compareToBaseline', () => {
  const points = compareToBaseline(records, definition);
  const find = (system: string, batch: number) =>
    points.find(({ axes }) => axes.system === system && axes.batch === batch)!;

  it('pairs points that share all other axes, repeat by repeat', () => {
    expect(find('SpecOffload', 8).overBaseline).toMatchObject({
      ...{ n: 3, ratio: expect.closeTo(2.5), low: expect.closeTo(2.5), verdict: 'faster' },
    });
    expect(find('SpecOffload', 64).overBaseline).toMatchObject({ ratio: expect.closeTo(1.5) });
    expect(find('FlexGen', 8)).toMatchObject({ isBaseline: true, overBaseline: null });
  });

  it('takes the records of that experiment only', () => {
    const others = records.map((record) => ({ ...record, point: { ...record.point!, experiment: 'other' } }));
    expect(compareToBaseline([...others, ...records], definition)).toEqual(points);
    expect(compareToBaseline(others, definition)).toEqual([]);
  });

  it('pairs only the repeats that both have', () => {
    const [missing] = compareToBaseline(
      records.filter(({ point, repeat }) => !(point!.axes.system === 'FlexGen' && repeat === 1)),
      definition,
    ).filter(({ axes }) => axes.system === 'SpecOffload' && axes.batch === 8);
    expect(missing).toMatchObject({ sample: { n: 3 }, overBaseline: { n: 2, reason: 'too few repeats' } });
  });

  it('has nothing to say where the baseline was not run', () => {
    const only = compareToBaseline(repeats({ system: 'SpecOffload', batch: 8 }, 5), definition);
    expect(only).toMatchObject([{ isBaseline: false, overBaseline: null }]);
  });

  it('takes a baseline written as a number for the text that the axis has', () => {
    const runs = ['2024', '2025'].flatMap((year) => repeats({ year, batch: 8 }, 5));
    const named = (baseline: Record<string, string | number>) =>
      compareToBaseline(runs, { name: 'test', baseline }).map(({ axes, isBaseline }) => [
        axes.year,
        isBaseline,
      ]);
    expect(named({ year: 2024 })).toContainEqual(['2024', true]);
    expect(named({ year: 2024 })).toEqual(named({ year: '2024' }));
  });

  it('takes repeats of a prediction for one run, and seeds for runs', () => {
    const predict = (system: string, seed: number, tokensPerSecond: number, repeat = 0) =>
      fakePrediction({ axes: { system }, tokensPerSecond, repeat, run: { seed } });
    const repeated = [0, 1, 2].flatMap((repeat) => [
      predict('FlexGen', 1, 2, repeat),
      predict('New', 1, 4, repeat),
    ]);
    expect(compareToBaseline(repeated, definition)[0]).toMatchObject({
      sample: { n: 1, low: null },
      overBaseline: { n: 1, ratio: 2, low: null, verdict: 'no verdict', reason: 'too few repeats' },
    });
    const seeded = [1, 2, 3].flatMap((seed) => [
      predict('FlexGen', seed, 2 + seed),
      predict('New', seed, 4 + 2 * seed),
    ]);
    expect(compareToBaseline(seeded, definition)[0]).toMatchObject({
      sample: { n: 3 },
      overBaseline: { n: 3, ratio: 2, verdict: 'faster' },
    });
  });
});
