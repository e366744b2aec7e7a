import { describe, expect, it } from 'vitest';
import { deliveredRate } from '../../../experiments/src/bench/pacing.js';

describe('the rate that a lane delivers', () => {
  const cases = [
    { title: 'one transfer', transfers: [[100, 0, 2]], rate: 50 },
    {
      title: 'one behind the other',
      transfers: [
        [100, 0, 1],
        [100, 1, 2],
      ],
      rate: 100,
    },
    {
      title: 'waiting counts: the lane had work',
      transfers: [
        [100, 0, 1],
        [100, 0, 4],
      ],
      rate: 50,
    },
    {
      title: 'idling does not: there was none',
      transfers: [
        [100, 0, 1],
        [100, 9, 10],
      ],
      rate: 100,
    },
    {
      title: 'in any order',
      transfers: [
        [100, 9, 10],
        [100, 0, 1],
      ],
      rate: 100,
    },
  ] as const;
  it.each(cases)('$title', ({ transfers, rate }) => {
    const spans = transfers.map(([bytes, readySeconds, endSeconds]) => ({ bytes, readySeconds, endSeconds }));
    expect(deliveredRate(spans)).toBeCloseTo(rate, 9);
  });
});
