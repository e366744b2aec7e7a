/** What rows of logits have to know to become tokens: plain data that crosses to the device. */

import { type NoiseUse, noiseKey } from './noise.js';
import { penalises, type Sampling } from './sampling.js';

/** Some rows, each the choice of the token behind a text of its own. */
export interface RowDraws {
  readonly sampling: Sampling;
  /** (row, 2): see `tokenBits`. */
  readonly keys: Uint32Array;
  /** Texts that penalties look at, one behind the other; empty where nothing penalises. */
  readonly history: Int32Array;
  /** (row, 2): where in `history` a row's text begins and ends; rows of one sequence share what they have in common. */
  readonly texts: Int32Array;
}

/** A text, and how many of its beginnings a token is wanted behind: the whole, and those that end before it. */
export interface DrawnText {
  /** Number of the sequence's noise. */
  readonly noise: number;
  readonly numTokens: number;
  readonly numRows: number;
  /** Asked for only where something penalises. */
  readonly tokens: () => readonly number[];
}

/** Rows in the order of the texts, of each the shortest beginning first. */
export function drawRows(sampling: Sampling, drawn: readonly DrawnText[], use?: NoiseUse): RowDraws {
  const keys: number[] = [];
  const history: number[] = [];
  const texts: number[] = [];
  const looksBack = penalises(sampling);
  const window = sampling.penaltyWindow || Number.POSITIVE_INFINITY;
  for (const { noise, numTokens, numRows, tokens } of drawn) {
    const start = history.length;
    if (looksBack) for (const token of tokens()) history.push(token);
    for (let length = numTokens - numRows + 1; length <= numTokens; length += 1) {
      keys.push(...noiseKey(sampling.seed, noise, length, use));
      if (looksBack) texts.push(start + Math.max(0, length - window), start + length);
    }
  }
  return {
    sampling,
    keys: Uint32Array.from(keys),
    history: Int32Array.from(history),
    texts: Int32Array.from(texts),
  };
}

/** The rows from `first` to before `end`. */
export function sliceDraws(
  { sampling, keys, history, texts }: RowDraws,
  first: number,
  end: number,
): RowDraws {
  return { sampling, history, keys: keys.slice(2 * first, 2 * end), texts: texts.slice(2 * first, 2 * end) };
}
