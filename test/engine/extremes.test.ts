import { largest, smallest } from '@specoffload/engine';
import { expect, it } from 'vitest';

it('finds both ends of more values than a call takes arguments', () => {
  const values = Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) % 1_000_003);
  expect(largest(values)).toBe(1_000_002);
  expect(smallest(values)).toBe(0);
  expect([largest([]), smallest([])]).toEqual([-Infinity, Infinity]);
  expect(largest([1, Number.NaN])).toBeNaN();
});
