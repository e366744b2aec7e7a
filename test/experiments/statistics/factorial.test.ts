import { describe, expect, it } from 'vitest';
import { factorialEffects } from '../../../experiments/src/index.js';

const levels = { draft: ['no', 'yes'], search: ['no', 'yes'] } as const;
const point = (draft: string, search: string, ...values: number[]) => ({ axes: { draft, search }, values });

describe('factorialEffects', () => {
  it('finds factors that multiply, and no interaction', () => {
    const points = [
      point('no', 'no', 10),
      point('yes', 'no', 20),
      point('no', 'yes', 15),
      point('yes', 'yes', 30),
    ];
    const effects = factorialEffects(points, levels);
    expect(effects.map(({ factors }) => factors)).toEqual([['draft'], ['search'], ['draft', 'search']]);
    for (const [i, ratio] of [2, 1.5, 1].entries()) expect(effects[i].ratio).toBeCloseTo(ratio, 12);
  });

  it('says how many times more a factor brings with another one', () => {
    const points = [
      point('no', 'no', 10),
      point('yes', 'no', 10),
      point('no', 'yes', 10),
      point('yes', 'yes', 40),
    ];
    const [draft, , both] = factorialEffects(points, levels);
    expect(draft!.ratio).toBeCloseTo(2, 12); // 1 without search, 4 with it
    expect(both!.ratio).toBeCloseTo(4, 12);
  });

  it('judges by the seeds, and by no more of them than every point has', () => {
    const points = [
      point('no', 'no', 10, 10.2, 9.8, 10.1),
      point('yes', 'no', 20, 20.2, 20.4, 19.9),
      point('no', 'yes', 10.1, 10, 9.7),
      point('yes', 'yes', 20.3, 20, 20.6),
    ];
    const [draft, search] = factorialEffects(points, levels);
    expect([draft!.n, draft!.verdict, search!.verdict]).toEqual([3, 'faster', 'not distinguishable']);
    const [alone] = factorialEffects(
      points.map((each) => ({ ...each, values: each.values.slice(0, 1) })),
      levels,
    );
    expect(alone).toMatchObject({ n: 1, verdict: 'no verdict', reason: 'too few repeats' });
  });

  it('wants every combination once', () => {
    const points = [point('no', 'no', 1), point('yes', 'no', 1), point('no', 'yes', 1)];
    expect(() => factorialEffects(points, levels)).toThrow(
      'invalid points: 0 have draft yes, search yes; expected one for every combination of levels',
    );
  });
});
