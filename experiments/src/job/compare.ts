/** Whether two runs wrote the same tokens, and whether rounding explains it where they did not. */

import { f32Arithmetic, type GeneratedSequence } from '@specoffload/engine';

/**
 * Why rounding may have parted two runs: the target's two best tokens are level there, or two of its experts were,
 * there or at an earlier new token whose keys and values the later ones read.
 */
export type TieCause = 'logits' | 'routing';

/** The first position at which two continuations of one prompt part; what follows has other contexts. */
export interface Difference {
  /** 0-based. */
  readonly prompt: number;
  /** 0-based among the new tokens. */
  readonly position: number;
  /** null where the sequence has ended before. */
  readonly expectedId: number | null;
  readonly actualId: number | null;
  /** Top-1 minus top-2 logit of the target there: the larger of what the two runs recorded. */
  readonly margin: number;
  /** Smallest lead of a chosen expert over the best other one, up to and including there. */
  readonly routerMargin: number;
  /** null: rounding explains nothing, one of the two is wrong. */
  readonly tie: TieCause | null;
}

export interface Comparison {
  readonly differences: readonly Difference[];
  readonly numTies: number;
  /** Differences that are no ties. None of them may exist. */
  readonly numErrors: number;
}

/** Compares continuations of the same prompts. `expected` is what the reference order wrote. */
export function compareSequences(
  expected: readonly GeneratedSequence[],
  actual: readonly GeneratedSequence[],
): Comparison {
  if (expected.length !== actual.length)
    throw new RangeError(`invalid number of sequences: ${actual.length}; expected ${expected.length}`);
  const differences = expected.flatMap((sequence, prompt) => {
    const difference = firstDifference(prompt, sequence, actual[prompt]);
    return difference === null ? [] : [difference];
  });
  const numTies = differences.filter(({ tie }) => tie !== null).length;
  return { differences, numTies, numErrors: differences.length - numTies };
}

function firstDifference(
  prompt: number,
  expected: GeneratedSequence,
  actual: GeneratedSequence,
): Difference | null {
  const length = Math.max(expected.ids.length, actual.ids.length);
  let routerMargin = Number.POSITIVE_INFINITY;
  for (let position = 0; position < length; position++) {
    const expectedId = expected.ids[position] ?? null;
    const actualId = actual.ids[position] ?? null;
    const routerMarginHere = larger(expected.routerMargins[position], actual.routerMargins[position]);
    routerMargin = Math.min(routerMargin, routerMarginHere);
    if (expectedId === actualId) continue;
    const margin = larger(expected.margins[position], actual.margins[position]);
    // An end without an end-of-sequence token is no choice of the target's, so no tie.
    const tie = expectedId === null || actualId === null ? null : causeOf(margin, routerMargin);
    return { prompt, position, expectedId, actualId, margin, routerMargin, tie };
  }
  return null;
}

/** NaN is no tie. */
function causeOf(margin: number, routerMargin: number): TieCause | null {
  if (margin < f32Arithmetic.tieMargin) return 'logits';
  return routerMargin < f32Arithmetic.routerTieMargin ? 'routing' : null;
}

/** NaN when neither run recorded one. */
function larger(a: number | undefined, b: number | undefined): number {
  return Math.max(a ?? b ?? Number.NaN, b ?? a ?? Number.NaN);
}

/** `prompt 3 parts at new token 17: 805, expected 412; margin 3.1e-6, a tie in the logits`. */
export function describeDifference(difference: Difference): string {
  const { prompt, position, expectedId, actualId, margin, routerMargin, tie } = difference;
  const why =
    tie === null
      ? `margin ${margin.toPrecision(2)}, no tie`
      : tie === 'logits'
        ? `margin ${margin.toPrecision(2)}, a tie in the logits`
        : `router margin ${routerMargin.toPrecision(2)}, a tie between experts`;
  return (
    `prompt ${prompt} parts at new token ${position}: ` +
    `${actualId ?? 'ended'}, expected ${expectedId ?? 'the end'}; ${why}`
  );
}
