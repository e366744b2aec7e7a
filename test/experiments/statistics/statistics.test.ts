import { createRandom, type Random } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  describeSample,
  medianInterval,
  type Pair,
  pairedRatio,
} from '../../../experiments/src/statistics/index.js';

const random = () => createRandom(7, 'test');

interface Distribution {
  readonly name: string;
  readonly median: number;
  readonly draw: (random: Random) => number;
}

describe('medianInterval', () => {
  const distributions: readonly Distribution[] = [
    { name: 'normal', median: 10, draw: (r) => 10 + r.normal() },
    { name: 'log-normal', median: 1, draw: (r) => Math.exp(r.normal() / 2) },
    { name: 'uniform', median: 0.5, draw: (r) => r.uniform() },
    { name: 'exponential', median: Math.LN2, draw: (r) => -Math.log(1 - r.uniform()) },
  ];
  const sizes = [3, 4, 5, 6, 7, 10, 15];
  it.each(distributions.flatMap((distribution) => sizes.map((n) => ({ ...distribution, n }))))(
    'of $n $name values holds the true median about 95 times of 100',
    ({ name, median, draw, n }) => {
      const r = createRandom(n, name);
      const trials = 400;
      let hits = 0;
      for (let trial = 0; trial < trials; trial += 1) {
        const { low, high } = medianInterval(
          Array.from({ length: n }, () => draw(r)),
          r,
        )!;
        if (low <= median && median <= high) hits += 1;
      }
      // The standard error of 400 trials is 1.1 %. Skew costs Student's t some, few values have coarse steps.
      expect(hits / trials).toBeGreaterThan(n < 6 ? 0.89 : 0.93);
      expect(hits / trials).toBeLessThan(0.995);
    },
  );

  it('says nothing of fewer than 3 values', () => {
    expect(medianInterval([], random())).toBeNull();
    expect(medianInterval([1], random())).toBeNull();
    expect(medianInterval([1, 2], random())).toBeNull();
  });

  it("is Student's t of 3 to 5 values: mean -/+ 4.303 sd / sqrt 3, of logarithms where all are positive", () => {
    // 0, 1, 2: mean 1, standard deviation 1.
    expect(medianInterval([0, 1, 2], random())).toEqual({
      low: expect.closeTo(1 - 4.3027 / Math.sqrt(3), 6),
      high: expect.closeTo(1 + 4.3027 / Math.sqrt(3), 6),
      method: 'student',
    });
    const factor = Math.exp(4.3027 / Math.sqrt(3));
    expect(medianInterval([1, Math.E, Math.E ** 2], random())).toEqual({
      low: expect.closeTo(Math.E / factor, 6),
      high: expect.closeTo(Math.E * factor, 6),
      method: 'student',
    });
  });

  it('is as wide as nothing where nothing varies', () => {
    expect(medianInterval([2, 2, 2], random())).toMatchObject({
      low: expect.closeTo(2),
      high: expect.closeTo(2),
    });
    expect(medianInterval(new Array(9).fill(2), random())).toMatchObject({ low: 2, high: 2 });
  });

  it('narrows with more values, and depends on the random stream alone', () => {
    const draw = createRandom(3);
    const many = Array.from({ length: 100 }, () => draw.normal());
    const [few, all] = [medianInterval(many.slice(0, 10), random())!, medianInterval(many, random())!];
    expect(all.high - all.low).toBeLessThan((few.high - few.low) / 2);
    expect(medianInterval(many, random())).toEqual(all);
  });
});

describe('describeSample', () => {
  it('of one and of two values pretends no interval', () => {
    expect(describeSample([4])).toEqual({
      ...{ n: 1, median: 4, low: null, high: null, method: null },
      ...{ least: 4, most: 4, lowerQuartile: 4, upperQuartile: 4, outliers: [] },
    });
    expect(describeSample([4, 2])).toMatchObject({ n: 2, median: 3, low: null, high: null });
  });

  it('shows outliers beyond the fences and drops none', () => {
    // Quartiles 2 and 4, fences at -1 and 7.
    const summary = describeSample([3, 100, 1, 2, 4, 3, 2, 4]);
    expect(summary).toMatchObject({ n: 8, median: 3, lowerQuartile: 2, upperQuartile: 4, most: 100 });
    expect(summary.outliers).toEqual([100]);
    expect(describeSample([1, 2, 3, 4, 7, 2, 3, 4]).outliers).toEqual([]);
  });

  it('does not sort what it is given', () => {
    const values = [3, 1, 2];
    describeSample(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it.each([
    [[], 'invalid sample: no values'],
    [[1, Number.NaN], 'invalid value: NaN; expected a finite number'],
    [[Number.POSITIVE_INFINITY], 'invalid value: Infinity'],
  ])('refuses %j', (values, message) => {
    expect(() => describeSample(values)).toThrow(message);
  });
});

describe('pairedRatio', () => {
  const pairsOf = (...ratios: number[]): Pair[] =>
    // The machine slows down from repeat to repeat, which pairs share.
    ratios.map((ratio, i) => ({ value: (10 - i) * ratio, baseline: 10 - i }));

  it('finds a small difference through a drift that is larger', () => {
    const result = pairedRatio(pairsOf(1.05, 1.06, 1.04, 1.05, 1.055, 1.045));
    expect(result).toMatchObject({ n: 6, ratio: expect.closeTo(1.05), verdict: 'faster', reason: null });
    expect(result.low).toBeGreaterThan(1.03);
    expect(result.high).toBeLessThan(1.07);
  });

  it.each<[string, number[], boolean, string]>([
    ['slower', [0.9, 0.91, 0.89], false, 'slower'],
    ['faster of three', [1.5, 1.52, 1.47], false, 'faster'],
    ['fewer seconds', [0.9, 0.91, 0.89], true, 'faster'],
    ['more seconds', [1.5, 1.52, 1.47], true, 'slower'],
    ['all three above 1, but far apart', [1.01, 1.3, 2], false, 'not distinguishable'],
    ['on both sides', [0.9, 1.1, 1, 0.95, 1.05, 1.02], false, 'not distinguishable'],
    ['equal', [1, 1, 1, 1, 1, 1], false, 'not distinguishable'],
    ['equal but for rounding', [1 + 1e-15, 1 + 1e-15, 1 + 1e-15], false, 'not distinguishable'],
  ])('%s', (_title, ratios, lowerIsBetter, verdict) => {
    expect(pairedRatio(pairsOf(...ratios), { lowerIsBetter }).verdict).toBe(verdict);
  });

  it.each<[Pair[], number | null, string]>([
    [[], null, 'no pairs'],
    [pairsOf(3), 3, 'too few repeats'],
    [pairsOf(3, 5), 4, 'too few repeats'],
  ])('of %j pretends nothing', (pairs, ratio, reason) => {
    const result = pairedRatio(pairs);
    expect(result).toMatchObject({
      n: pairs.length,
      low: null,
      high: null,
      verdict: 'no verdict',
      reason,
    });
    if (ratio === null) expect(result.ratio).toBeNull();
    else expect(result.ratio).toBeCloseTo(ratio);
  });

  it('calls equal things different in about 5 of 100 cases', () => {
    const r = createRandom(5, 'null');
    const trials = 400;
    for (const n of [3, 5, 8]) {
      let wrong = 0;
      for (let trial = 0; trial < trials; trial += 1) {
        const pairs = Array.from({ length: n }, () => ({ value: Math.exp(0.1 * r.normal()), baseline: 1 }));
        if (pairedRatio(pairs, { random: r }).verdict !== 'not distinguishable') wrong += 1;
      }
      expect(wrong / trials).toBeLessThan(0.085);
    }
  });

  it.each([0, -1, Number.NaN])('refuses %d', (value) => {
    expect(() => pairedRatio([{ value, baseline: 1 }])).toThrow(
      `invalid value: ${value}; expected a positive`,
    );
    expect(() => pairedRatio([{ value: 1, baseline: value }])).toThrow('as ratios need');
  });
});
