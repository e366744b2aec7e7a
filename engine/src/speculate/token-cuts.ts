/** Which tokens a row's masks keep, and how nearly they would keep others. */

import { largest, smallest } from '../extremes.js';
import type { Sampling } from './sampling.js';

/** A mask keeps the tokens whose scores are at least `last`. */
export interface TokenCut {
  readonly last: number;
  /** The largest score that it leaves out. */
  readonly next: number;
  /** How far scores have to move for it to keep one token less or one more, though none changes places. */
  readonly shrinks: number;
  readonly grows: number;
}

/**
 * The masks in transformers' order: top-k; of what it keeps top-p, the token with which p is reached among them; min-p.
 * Each keeps all that equal the last one.
 * @param scores (vocab), divided by the temperature
 * @param best the largest of them
 */
export function cutTokens(scores: Float64Array, best: number, { topK, topP, minP }: Sampling): TokenCut[] {
  const cuts: TokenCut[] = [];
  if (topK > 0 && topK < scores.length) {
    const { last, next } = walkDown(scores, best, Number.NEGATIVE_INFINITY, countOne, () => topK);
    cuts.push({ last, next, shrinks: Number.POSITIVE_INFINITY, grows: Number.POSITIVE_INFINITY });
  }
  if (topP < 1) {
    const floor = cuts[0]?.last ?? Number.NEGATIVE_INFINITY;
    const mass = (score: number) => Math.exp(score - best);
    const { last, next, total, before, sum } = walkDown(scores, best, floor, mass, (all) => topP * all);
    // Where all scores may move by d, what of the mass lies before a place moves by d / 2 at most.
    const distance = (share: number) => 2 * Math.abs(share / total - topP);
    cuts.push({ last, next, shrinks: distance(before), grows: distance(sum) });
  }
  if (minP > 0) {
    const least = best + Math.log(minP);
    cuts.push({ last: least, next: least, shrinks: 0, grows: 0 });
  }
  return cuts;
}

/** By how much scores would have to move for a token of this score to be left out, or, where it is, to be kept. */
export function distanceOfChange(cuts: readonly TokenCut[], score: number): number {
  const isKept = cuts.every(({ last }) => score >= last);
  const distances = cuts
    .filter(({ last }) => isKept || score < last)
    // Either it changes places with one on the other side, or it is the nearest of its side and the cut moves.
    .map(({ last, next, shrinks, grows }) =>
      isKept
        ? Math.min(score - next, Math.max(shrinks, score - last))
        : Math.min(last - score, Math.max(grows, next - score)),
    );
  return isKept ? smallest(distances) : largest(distances);
}

const numBuckets = 1024;
const bucketsPerUnit = 32;

const countOne = () => 1;

/**
 * From the largest score down to the one with which the sum of weights reaches its goal, and those equal to it. Scores are
 * thrown into buckets, of which one has to be sorted.
 * @param floor scores below it do not count
 */
function walkDown(
  scores: Float64Array,
  best: number,
  floor: number,
  weigh: (score: number) => number,
  goalOf: (total: number) => number,
) {
  const sums = new Float64Array(numBuckets);
  const bucketOf = (score: number) => Math.min(numBuckets - 1, Math.floor((best - score) * bucketsPerUnit));
  for (const score of scores) if (score >= floor) sums[bucketOf(score)] += weigh(score);
  const total = sums.reduce((all, weight) => all + weight, 0);
  const goal = goalOf(total);
  let sum = 0;
  let bucket = 0;
  for (; sum + sums[bucket] < goal; bucket += 1) sum += sums[bucket];
  const [most, least] = [best - bucket / bucketsPerUnit, best - (bucket + 2) / bucketsPerUnit];
  const isLast = bucket === numBuckets - 1;
  const inBucket: number[] = [];
  for (const score of scores)
    if (score <= most && score >= floor && (isLast || score >= least) && bucketOf(score) === bucket)
      inBucket.push(score);
  const within = Float64Array.from(inBucket).sort();
  let place = within.length;
  let before = sum;
  do {
    place -= 1;
    before = sum;
    sum += weigh(within[place]);
  } while (place > 0 && (sum < goal || within[place - 1] === within[place]));
  const last = within[place];
  let next = Number.NEGATIVE_INFINITY;
  for (const score of scores) if (score < last && score >= floor && score > next) next = score;
  return { last, next, total, before, sum };
}
