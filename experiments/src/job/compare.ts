/** Whether two runs wrote the same tokens, and whether rounding explains it where they did not. */

import type { Arithmetic, GeneratedSequence } from '@specoffload/engine';

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

/** What a run wrote, and how the device rounds that wrote it. */
export interface Written {
  readonly sequences: readonly GeneratedSequence[];
  readonly arithmetic: Arithmetic;
}

/** Compares continuations of the same prompts. `expected` is what the reference order wrote. */
export function compareSequences(expected: Written, actual: Written): Comparison {
  const [wanted, written] = [expected.sequences, actual.sequences];
  if (wanted.length !== written.length)
    throw new RangeError(`invalid number of sequences: ${written.length}; expected ${wanted.length}`);
  const margins = coarser(expected.arithmetic, actual.arithmetic);
  const differences = wanted.flatMap((sequence, prompt) => {
    const difference = firstDifference(prompt, sequence, written[prompt], margins);
    return difference === null ? [] : [difference];
  });
  const numTies = differences.filter(({ tie }) => tie !== null).length;
  return { differences, numTies, numErrors: differences.length - numTies };
}

type Margins = Pick<Arithmetic, 'tieMargin' | 'routerTieMargin'>;

/** Of two devices, what the one that rounds more may move. */
function coarser(a: Arithmetic, b: Arithmetic): Margins {
  return {
    tieMargin: Math.max(a.tieMargin, b.tieMargin),
    routerTieMargin: Math.max(a.routerTieMargin, b.routerTieMargin),
  };
}

function firstDifference(
  prompt: number,
  expected: GeneratedSequence,
  actual: GeneratedSequence,
  margins: Margins,
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
    const tie = expectedId === null || actualId === null ? null : causeOf(margin, routerMargin, margins);
    return { prompt, position, expectedId, actualId, margin, routerMargin, tie };
  }
  return null;
}

/** NaN is no tie. */
function causeOf(margin: number, routerMargin: number, margins: Margins): TieCause | null {
  if (margin < margins.tieMargin) return 'logits';
  return routerMargin < margins.routerTieMargin ? 'routing' : null;
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
