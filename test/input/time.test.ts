import { withinTime } from '@specoffload/input';
import { expect, it } from 'vitest';

it('returns what the work returns, null included, and throws what it throws', () => {
  expect(withinTime(1000, () => null)).toEqual({ result: null });
  expect(withinTime(1000, () => withinTime(500, () => 7))).toEqual({ result: { result: 7 } });
  expect(() =>
    withinTime(1000, () => {
      throw new TypeError('broken');
    }),
  ).toThrow(new TypeError('broken'));
});

it.each([
  [
    'a loop',
    () => {
      for (;;);
    },
  ],
  ['a regular expression that backtracks', () => /^(a+)+$/.test(`${'a'.repeat(60)}b`)],
])('ends %s', (_, work) => {
  expect(withinTime(50, work)).toBeNull();
  expect(withinTime(1000, () => 'still usable')).toEqual({ result: 'still usable' });
});
