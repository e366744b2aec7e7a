import { f32Arithmetic, type GeneratedSequence } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { compareSequences, describeDifference, type Written } from '../../../experiments/src/job/compare.js';

function sequence(ids: number[], margins: number[], routerMargins?: number[]): GeneratedSequence {
  return {
    ids,
    margins,
    routerMargins: routerMargins ?? ids.map(() => Number.POSITIVE_INFINITY),
    stopReason: 'length',
  };
}

const wrote = (...sequences: GeneratedSequence[]): Written => ({ sequences, arithmetic: f32Arithmetic });

const { tieMargin, routerTieMargin } = f32Arithmetic;
const small = tieMargin / 2;
const smallRouter = routerTieMargin / 2;

// Each case: expected, actual, and the verdict on the first difference.
const cases: readonly (readonly [string, GeneratedSequence, GeneratedSequence, string])[] = [
  ['equal', sequence([1, 2], [1, 1]), sequence([1, 2], [1, 1]), 'same'],
  ['level logits', sequence([1, 2], [1, small]), sequence([1, 3], [1, small]), 'tie in the logits at 1'],
  ['clear logits', sequence([1, 2], [1, 1]), sequence([1, 3], [1, 1]), 'error at 1'],
  ['clear in one of the runs', sequence([1, 2], [1, small]), sequence([1, 3], [1, 1]), 'error at 1'],
  ['a margin at the limit', sequence([2], [tieMargin]), sequence([3], [tieMargin]), 'error at 0'],
  ['no number for a margin', sequence([2], [Number.NaN]), sequence([3], [Number.NaN]), 'error at 0'],
  [
    'a tie only after the difference',
    sequence([1, 2], [1, small]),
    sequence([4, 2], [1, small]),
    'error at 0',
  ],
  ['ended early', sequence([1, 2], [1, small]), sequence([1], [1]), 'error at 1'],
  ['went on', sequence([1], [1]), sequence([1, 2], [1, small]), 'error at 1'],
  [
    'level experts there',
    sequence([1, 2], [1, 1], [1, smallRouter]),
    sequence([1, 3], [1, 1], [1, smallRouter]),
    'tie in the routing at 1',
  ],
  [
    'level experts before',
    sequence([1, 2], [1, 1], [smallRouter, 1]),
    sequence([1, 3], [1, 1], [smallRouter, 1]),
    'tie in the routing at 1',
  ],
  [
    'level experts after',
    sequence([1, 2], [1, 1], [1, smallRouter]),
    sequence([4, 2], [1, 1], [1, smallRouter]),
    'error at 0',
  ],
];

describe('compareSequences', () => {
  it.each(cases)('%s', (_name, expected, actual, verdict) => {
    const { differences, numTies, numErrors } = compareSequences(wrote(expected), wrote(actual));
    const [difference] = differences;
    const found =
      difference === undefined
        ? 'same'
        : `${difference.tie === null ? 'error' : `tie in the ${difference.tie}`} at ${difference.position}`;
    expect(found).toBe(verdict);
    expect([numTies, numErrors]).toEqual([
      verdict.startsWith('tie') ? 1 : 0,
      verdict.startsWith('error') ? 1 : 0,
    ]);
  });

  it('counts per sequence and says which', () => {
    const expected = [sequence([1], [1]), sequence([2], [small]), sequence([3], [1])];
    const actual = [sequence([1], [1]), sequence([5], [small]), sequence([6], [1])];
    const { differences, numTies, numErrors } = compareSequences(wrote(...expected), wrote(...actual));
    expect([numTies, numErrors]).toEqual([1, 1]);
    expect(differences.map(describeDifference)).toEqual([
      'prompt 1 parts at new token 0: 5, expected 2; margin 0.00010, a tie in the logits',
      'prompt 2 parts at new token 0: 6, expected 3; margin 1.0, no tie',
    ]);
  });

  it('judges by the device that rounds more of the two', () => {
    const coarse = { ...f32Arithmetic, computes: 'bf16', tieMargin: 0.1, routerTieMargin: 0.01 } as const;
    const [expected, actual] = [sequence([2], [0.05]), sequence([3], [0.05])];
    const numTies = (a: Written, b: Written) => compareSequences(a, b).numTies;
    expect(numTies(wrote(expected), wrote(actual))).toBe(0);
    expect(numTies(wrote(expected), { ...wrote(actual), arithmetic: coarse })).toBe(1);
    expect(numTies({ ...wrote(expected), arithmetic: coarse }, wrote(actual))).toBe(1);
  });

  it('refuses another number of sequences', () => {
    expect(() => compareSequences(wrote(sequence([1], [1])), wrote())).toThrow(
      'invalid number of sequences: 0; expected 1',
    );
  });
});
