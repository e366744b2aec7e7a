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

/** What is known of tokens whose scores are not. */
export interface Others {
  /** All of them score less. */
  readonly below: number;
  /** Their share of the probability, over the best one's. */
  readonly mass: number;
}

/**
 * The masks in transformers' order: top-k; of what it keeps top-p, the token with which p is reached among them; min-p.
 * Each keeps all that equal the last one.
 * @param scores (vocab), divided by the temperature
 * @param best the largest of them
 * @param others where there are more, which have no scores
 * @returns null where what is kept depends on those
 */
export function cutTokens(
  scores: Float64Array,
  best: number,
  { topK, topP, minP }: Sampling,
  others: Others | null = null,
): TokenCut[] | null {
  const cuts: TokenCut[] = [];
  const lacks = others !== null && topK > scores.length;
  if (lacks && topP < 1) return null;
  if (topK > 0 && topK < scores.length) {
    const walked = walkDown(scores, best, Number.NEGATIVE_INFINITY, countOne, () => topK);
    const { last, next } = walked as Walked;
    if (others !== null && topP < 1 && last <= others.below) return null;
    cuts.push({ last, next, shrinks: Number.POSITIVE_INFINITY, grows: Number.POSITIVE_INFINITY });
  }
  if (topP < 1) {
    const floor = cuts[0]?.last ?? Number.NEGATIVE_INFINITY;
    const mass = (score: number) => Math.exp(score - best);
    const beyond = others !== null && cuts.length === 0 ? others.mass : 0;
    const walked = walkDown(scores, best, floor, mass, (all) => topP * all, beyond);
    if (!walked) return null;
    const { last, next, total, before, sum } = walked;
    // Where all scores may move by d, what of the mass lies before a place moves by d / 2 at most.
    const distance = (share: number) => 2 * Math.abs(share / total - topP);
    cuts.push({ last, next, shrinks: distance(before), grows: distance(sum) });
  }
  if (minP > 0) {
    const least = best + Math.log(minP);
    cuts.push({ last: least, next: least, shrinks: 0, grows: 0 });
  }
  return others === null || floorOf(cuts) > others.below ? cuts : null;
}

/** What no mask leaves out scores at least this. */
export function floorOf(cuts: readonly TokenCut[]): number {
  return cuts.reduce((most, { last }) => Math.max(most, last), Number.NEGATIVE_INFINITY);
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

interface Walked {
  readonly last: number;
  readonly next: number;
  readonly total: number;
  /** Up to the last one, without it and with it. */
  readonly before: number;
  readonly sum: number;
}

const numBuckets = 1024;
const bucketsPerUnit = 32;

const countOne = () => 1;

/**
 * From the largest score down to the one with which the sum of weights reaches its goal, and those equal to it. Scores are
 * thrown into buckets, of which one has to be sorted.
 * @param floor scores below it do not count
 * @param beyond weight of what is in none of the scores
 * @returns null where it would come to that
 */
function walkDown(
  scores: Float64Array,
  best: number,
  floor: number,
  weigh: (score: number) => number,
  goalOf: (total: number) => number,
  beyond = 0,
): Walked | null {
  const sums = new Float64Array(numBuckets);
  const bucketOf = (score: number) => Math.min(numBuckets - 1, Math.floor((best - score) * bucketsPerUnit));
  for (const score of scores) if (score >= floor) sums[bucketOf(score)] += weigh(score);
  const within = sums.reduce((all, weight) => all + weight, 0);
  const total = within + beyond;
  const goal = goalOf(total);
  if (beyond > 0 && goal >= within) return null;
  let sum = 0;
  let bucket = 0;
  for (; sum + sums[bucket] < goal; bucket += 1) sum += sums[bucket];
  const [most, least] = [best - bucket / bucketsPerUnit, best - (bucket + 2) / bucketsPerUnit];
  const isLast = bucket === numBuckets - 1;
  const inBucket: number[] = [];
  for (const score of scores)
    if (score <= most && score >= floor && (isLast || score >= least) && bucketOf(score) === bucket)
      inBucket.push(score);
  const inOrder = Float64Array.from(inBucket).sort();
  let place = inOrder.length;
  let before = sum;
  do {
    place -= 1;
    before = sum;
    sum += weigh(inOrder[place]);
  } while (place > 0 && (sum < goal || inOrder[place - 1] === inOrder[place]));
  const last = inOrder[place];
  let next = Number.NEGATIVE_INFINITY;
  for (const score of scores) if (score < last && score >= floor && score > next) next = score;
  return { last, next, total, before, sum };
}
