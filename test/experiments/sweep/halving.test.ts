import { describe, expect, it } from 'vitest';
import { choosePruned, rungsOf } from '../../../experiments/src/sweep/halving.js';
import { Scores } from '../../../experiments/src/sweep/ranking.js';

/** @param runs of each point, by its name */
function scoresOf(runs: Readonly<Record<string, readonly number[]>>): Scores {
  const scores = new Scores();
  for (const [pointKey, values] of Object.entries(runs))
    for (const [turn, value] of values.entries())
      scores.add({ experiment: 'x', pointKey, axes: { name: pointKey }, settings: {} }, turn, value);
  return scores;
}

const prune = (
  runs: Readonly<Record<string, readonly number[]>>,
  options: { lowerIsBetter?: boolean; kept?: string } = {},
) =>
  choosePruned(
    scoresOf(runs),
    new Set(Object.keys(runs)),
    options.lowerIsBetter ?? false,
    ({ name }) => name === options.kept,
  );

it.each([
  [1, []],
  [2, [1]],
  [3, [1, 2]],
  [8, [1, 2, 4]],
])('compares points of %i runs after %j', (turns, rungs) => {
  expect(rungsOf(turns)).toEqual(rungs);
});

describe('choosePruned', () => {
  it('lets the worse half go', () => {
    expect(prune({ a: [1], b: [4], c: [2], d: [3], e: [5] })).toEqual(['c', 'a']);
  });
  it('keeps what is better when lower, where that is so', () => {
    expect(prune({ a: [1], b: [4], c: [2], d: [3] }, { lowerIsBetter: true })).toEqual(['d', 'b']);
  });
  it('keeps the baseline', () => {
    expect(prune({ a: [1], b: [4], c: [2], d: [3] }, { kept: 'a' })).toEqual(['c']);
  });
  it('keeps a point of the worse half that cannot be told from the last one kept', () => {
    const runs = { a: [10, 11, 12, 10], b: [9, 9.5, 11, 9.5], c: [9.2, 9.3, 10.9, 9.4], d: [3, 3.1, 3.2, 3] };
    expect(prune(runs)).toEqual(['d']);
  });
  it('pairs runs of the same turn: a slow minute costs nobody his place', () => {
    // Everything was half as fast in turns 2 and 3, and b is worse than a in every turn.
    expect(prune({ a: [10, 10.2, 5, 5.1], b: [9, 9.2, 4.5, 4.6] })).toEqual(['b']);
  });
});
