/**
 * Coupled sampling: a row's token is the one whose logit / T plus Gumbel noise is the largest, which draws from the
 * softmax exactly (Gumbel-max), and since the noise is a function of seed, sequence, position and token, a draft that
 * sees nearly the same logits chooses the same token. Whether candidates stand is thus still a matter of equality, and
 * every order of computation writes the same text.
 */

import { gumbelOf, mostGumbelOf, tokenBits } from './noise.js';
import { drawRows, type RowDraws } from './row-draws.js';
import { completeGreedy, parseSampling, penalises, type SamplingInput } from './sampling.js';
import { cutTokens, distanceOfChange, floorOf, type Others, type TokenCut } from './token-cuts.js';

export interface DrawnToken {
  readonly id: number;
  /**
   * By how much logits would have to change for another token to be chosen: the lead over the second, noise included, or
   * what it takes for a mask to keep others. NaN where a logit is not finite.
   */
  readonly margin: number;
}

/** @param logits (vocab) of the row */
export function drawToken(logits: Float32Array, draws: RowDraws, row: number): DrawnToken {
  return drawOf(warp(logits, draws, row), draws, row)?.drawn ?? notFinite.drawn;
}

/** A token, and what it was drawn from where the rejection rule has to know. */
export interface Drawn {
  readonly drawn: DrawnToken;
  readonly shares: TokenShares;
}

/** Some tokens and their probabilities, which sum to 1; all others have none. */
export interface TokenShares {
  readonly ids: Int32Array; // ascending
  readonly shares: Float64Array;
}

const noShares: TokenShares = { ids: new Int32Array(), shares: new Float64Array() };

/** Of a row with a logit that is not finite, which ends the run. */
export const notFinite: Drawn = { drawn: { id: 0, margin: Number.NaN }, shares: noShares };

/** Some tokens of a row, of which others may be left out that have no say. */
export interface SomeTokens {
  readonly ids: Int32Array; // ascending
  readonly logits: Float32Array;
  /** What is known of the others where masks may keep them, by the largest logit that no penalty changes. */
  readonly others: { readonly top: number; readonly distance: number; readonly mass: number } | null;
}

/**
 * {@link drawToken}, and {@link sharesOf} where the rejection rule asks, of as many tokens as may matter. Margins are the
 * same as far as they come within what those reach.
 * @returns null where these tokens do not tell
 */
export function drawOfSome({ ids, logits, others }: SomeTokens, draws: RowDraws, row: number): Drawn | null {
  const { temperature, rule } = draws.sampling;
  const warped = warp(logits, draws, row, ids);
  if (!warped) return notFinite;
  const shares = (found: ReturnType<typeof drawOf>) => (rule === 'rejection' && found?.shares()) || noShares;
  if (!others) {
    const found = drawOf(warped, draws, row);
    return found && { drawn: found.drawn, shares: shares(found) };
  }
  const top = others.top / (temperature || 1);
  const below = top - others.distance;
  const [one, other] = [1 - massTolerance, 1 + massTolerance].map((factor) => {
    const mass = factor * others.mass * Math.exp(top - warped.best);
    return drawOf({ ...warped, others: { below, mass } }, draws, row);
  });
  // A token more or less that a mask keeps seldom makes a difference.
  if (one?.drawn.id !== other?.drawn.id || !one || !other) return null;
  const margin = Math.min(one.drawn.margin, other.drawn.margin);
  return { drawn: { id: one.drawn.id, margin }, shares: shares(one) };
}

/** By how much of itself the others' mass may be off, see `keep-tokens.comp`. */
const massTolerance = 2 ** -14;

/** @returns null where it depends on tokens without a score */
function drawOf(warped: Warped | null, draws: RowDraws, row: number) {
  const { sampling, keys } = draws;
  if (!warped) return null;
  const { scores, best, others } = warped;
  const isDrawn = sampling.temperature > 0;
  const cuts = isDrawn ? cutTokens(scores, best, sampling, others) : [];
  if (!cuts || (others && best <= others.below)) return null;
  const noise = { k0: keys[2 * row], k1: keys[2 * row + 1] };
  const { id, margin } = isDrawn
    ? drawMasked(warped, cuts, noise)
    : leaderOf(warped, Number.NEGATIVE_INFINITY, null);
  return {
    drawn: { id, margin: margin * (sampling.temperature || 1) },
    shares: () => sharesFrom(warped, isDrawn ? floorOf(cuts) : null),
  };
}

/** What was drawn of several rows. */
export interface DrawnTokens {
  readonly ids: Int32Array; // (row)
  readonly margins: Float32Array; // (row)
  /** Of every row what its token was drawn from, where the rejection rule has to know. */
  readonly shares?: readonly TokenShares[];
}

/** The tokens of `rows` rows of logits. */
export function drawTokens(
  draws: RowDraws,
  rows: number,
  logitsOf: (row: number) => Float32Array,
): DrawnTokens {
  const ids = new Int32Array(rows);
  const margins = new Float32Array(rows);
  const shares: TokenShares[] = [];
  const wantsShares = draws.sampling.rule === 'rejection';
  for (let row = 0; row < rows; row += 1) {
    const found = drawOf(warp(logitsOf(row), draws, row), draws, row);
    const { id, margin } = found?.drawn ?? notFinite.drawn;
    ids[row] = id;
    margins[row] = margin;
    if (wantsShares) shares.push(found?.shares() ?? noShares);
  }
  return wantsShares ? { ids, margins, shares } : { ids, margins };
}

/** What {@link drawToken} draws from; null where a logit is not finite. */
export function sharesOf(logits: Float32Array, draws: RowDraws, row: number): TokenShares | null {
  return drawOf(warp(logits, draws, row), draws, row)?.shares() ?? null;
}

/** @param floor null: the lowest of the best is certain */
function sharesFrom({ scores, ids, best }: Warped, floor: number | null): TokenShares {
  const places: number[] = [];
  for (let place = 0; place < scores.length; place += 1)
    if (scores[place] >= (floor ?? best)) places.push(place);
  if (floor === null) places.length = 1;
  const shares = Float64Array.from(places, (place) => Math.exp(scores[place] - best));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return {
    ids: Int32Array.from(places, (place) => ids?.[place] ?? place),
    shares: shares.map((share) => share / total),
  };
}

/** The same of any text's next token, as a probability for every token. @throws RangeError where a logit is not finite */
export function warpedShares(
  logits: Float32Array,
  text: readonly number[],
  input: SamplingInput,
): Float64Array {
  const sampling = parseSampling(input) ?? completeGreedy;
  const draws = drawRows(sampling, [{ noise: 0, numTokens: text.length, numRows: 1, tokens: () => text }]);
  const found = sharesOf(logits, draws, 0);
  if (!found) throw new RangeError('the logits are not finite');
  const probabilities = new Float64Array(logits.length);
  for (const [place, id] of found.ids.entries()) probabilities[id] = found.shares[place];
  return probabilities;
}

/** Scores after penalties and temperature, and the largest of them. */
interface Warped {
  readonly scores: Float64Array;
  /** Whose they are; null: every token's. */
  readonly ids: Int32Array | null;
  readonly best: number;
  /** Tokens without a score. */
  readonly others: Others | null;
}

/** Null where one is not finite. */
function warp(
  logits: Float32Array,
  draws: RowDraws,
  row: number,
  ids: Int32Array | null = null,
): Warped | null {
  const temperature = draws.sampling.temperature || 1;
  const scores = scoresOf(logits, draws, row, ids);
  let best = Number.NEGATIVE_INFINITY;
  let notFinite = 0; // NaN from the first score on that is not finite
  for (let id = 0; id < scores.length; id += 1) {
    const score = scores[id] / temperature;
    notFinite += score - score;
    if (score > best) best = score;
    scores[id] = score;
  }
  return Number.isNaN(notFinite) ? null : { scores, ids, best, others: null };
}

interface Noise {
  readonly k0: number;
  readonly k1: number;
}

/** Reused by every row of a thread. */
let scratch = new Float64Array();

/** A row's logits with penalties: transformers' for repetition, llama.cpp's for presence and frequency. */
function scoresOf(logits: Float32Array, draws: RowDraws, row: number, ids: Int32Array | null): Float64Array {
  const { sampling } = draws;
  if (scratch.length !== logits.length) scratch = new Float64Array(logits.length);
  scratch.set(logits);
  if (!penalises(sampling)) return scratch;
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  const places = ids && new Map(Array.from(ids, (id, place) => [id, place]));
  for (const [token, count] of countTokens(draws, row)) {
    const id = places ? (places.get(token) as number) : token;
    const logit = scratch[id];
    const repeated = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    scratch[id] = repeated - count * frequencyPenalty - presencePenalty;
  }
  return scratch;
}

/** How often a row's text holds each of the tokens that penalties look at. */
export function countTokens({ history, texts }: RowDraws, row: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (const id of history.subarray(texts[2 * row], texts[2 * row + 1]))
    counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** The largest score with noise among those from `floor` on; the lowest id among equals. */
function leaderOf({ scores, ids }: Warped, floor: number, noise: Noise | null): Leader {
  let id = 0;
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let place = 0; place < scores.length; place += 1) {
    let score = scores[place];
    if (score < floor) continue;
    const token = ids === null ? place : ids[place];
    if (noise) {
      const bits = tokenBits(noise.k0, noise.k1, token);
      // Most tokens are too far behind for the noise that their bits can bring, and need no logarithms.
      if (score + mostGumbelOf(bits) <= second) continue;
      score += gumbelOf(bits);
    }
    if (score <= second) continue;
    if (score > best) {
      second = best;
      best = score;
      id = token;
    } else second = score;
  }
  return { id, score: scores[ids === null ? id : ids.indexOf(id)], best, margin: best - second };
}

interface Leader {
  readonly id: number;
  readonly score: number;
  /** Noise included. */
  readonly best: number;
  readonly margin: number;
}

/** The same among those that the masks keep. */
function drawMasked(warped: Warped, cuts: readonly TokenCut[], noise: Noise): DrawnToken {
  const { scores, ids } = warped;
  const floor = floorOf(cuts);
  const { id, score: own, best, margin: lead } = leaderOf(warped, floor, noise);
  let margin = Math.min(lead, distanceOfChange(cuts, own));
  // A token that the masks nearly keep matters if it would nearly win.
  for (let place = 0; place < scores.length; place += 1) {
    const score = scores[place];
    if (score >= floor) continue;
    const bits = tokenBits(noise.k0, noise.k1, ids === null ? place : ids[place]);
    if (score + mostGumbelOf(bits) <= best - margin) continue;
    const behind = best - score - gumbelOf(bits);
    if (behind < margin) margin = Math.min(margin, Math.max(behind, distanceOfChange(cuts, score)));
  }
  return { id, margin };
}
