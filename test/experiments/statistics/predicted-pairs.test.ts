import { describe, expect, it } from 'vitest';
import { pairPredictions } from '../../../experiments/src/statistics/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

describe('pairs of predictions and measurements', () => {
  it('take the median of the repeats, and leave out what has one side only', () => {
    const records = [
      fakeRecord({ axes: { candidates: 4 }, tokensPerSecond: 9 }),
      fakeRecord({ axes: { candidates: 4 }, tokensPerSecond: 12, repeat: 1 }),
      fakeRecord({ axes: { candidates: 4 }, tokensPerSecond: 10, repeat: 2 }),
      fakeRecord({ axes: { candidates: 8 }, tokensPerSecond: 5 }),
      fakePrediction({ axes: { candidates: 4 }, tokensPerSecond: 11 }),
      fakePrediction({ axes: { candidates: 2 }, tokensPerSecond: 7 }),
    ];
    expect(pairPredictions(records)).toMatchObject([
      { axes: { candidates: 4 }, predicted: 11, measured: 10, repeats: 3 },
    ]);
  });

  it('never mix experiments', () => {
    const { point, ...rest } = fakePrediction({ axes: { a: 1 }, tokensPerSecond: 1 });
    const other = { ...rest, point: { ...point!, experiment: 'another' } };
    expect(pairPredictions([fakeRecord({ axes: { a: 1 }, tokensPerSecond: 1 }), other])).toEqual([]);
  });
});
