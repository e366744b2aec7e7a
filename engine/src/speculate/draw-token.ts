/**
 * Coupled sampling: a row's token is the one whose logit / T plus Gumbel noise is the largest, which draws from the
 * softmax exactly (Gumbel-max), and since the noise is a function of seed, sequence, position and token, a draft that
 * sees nearly the same logits chooses the same token. Whether candidates stand is thus still a matter of equality, and
 * every order of computation writes the same text.
 */

import { gumbelOf, mostGumbelOf, tokenBits } from './noise.js';
import { drawRows, type RowDraws } from './row-draws.js';
import { completeGreedy, parseSampling, penalises, type Sampling, type SamplingInput } from './sampling.js';
import { cutTokens, distanceOfChange, type TokenCut } from './token-cuts.js';

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
  const { sampling, keys } = draws;
  const warped = warp(logits, draws, row);
  if (!warped) return { id: 0, margin: Number.NaN };
  const { scores, best } = warped;
  const noise = { k0: keys[2 * row], k1: keys[2 * row + 1] };
  const { id, margin } =
    sampling.temperature > 0
      ? drawMasked(scores, best, noise, sampling)
      : leaderOf(scores, Number.NEGATIVE_INFINITY, null);
  return { id, margin: margin * (sampling.temperature || 1) };
}

/** Whether the largest logit with noise is drawn, and nothing else has a say. */
export function drawsTheLargest(sampling: Sampling): boolean {
  const { temperature, topK, topP, minP, rule } = sampling;
  const isMasked = topK > 0 || topP < 1 || minP > 0;
  return temperature > 0 && !isMasked && !penalises(sampling) && rule === 'coupled';
}

/** {@link drawToken}, where that is so and no others can be first or second. @param tokens by ascending ids */
export function drawOfFew(
  tokens: readonly (readonly [id: number, logit: number])[],
  { sampling: { temperature }, keys }: RowDraws,
  row: number,
): DrawnToken {
  let [drawn, best, second] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [id, logit] of tokens) {
    const score = logit / temperature + gumbelOf(tokenBits(keys[2 * row], keys[2 * row + 1], id));
    if (score > best) [drawn, best, second] = [id, score, best];
    else if (score > second) second = score;
  }
  return { id: drawn, margin: (best - second) * temperature };
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
    const logits = logitsOf(row);
    const { id, margin } = drawToken(logits, draws, row);
    ids[row] = id;
    margins[row] = margin;
    if (wantsShares) shares.push(sharesOf(logits, draws, row) ?? noShares);
  }
  return wantsShares ? { ids, margins, shares } : { ids, margins };
}

/** Some tokens and their probabilities, which sum to 1; all others have none. */
export interface TokenShares {
  readonly ids: Int32Array; // ascending
  readonly shares: Float64Array;
}

/** Of a row that is not finite, which ends the run. */
const noShares: TokenShares = { ids: new Int32Array(), shares: new Float64Array() };

/** What {@link drawToken} draws from; null where a logit is not finite. */
export function sharesOf(logits: Float32Array, draws: RowDraws, row: number): TokenShares | null {
  const warped = warp(logits, draws, row);
  if (!warped) return null;
  const { scores, best } = warped;
  const { sampling } = draws;
  const floor = sampling.temperature > 0 ? floorOf(cutTokens(scores, best, sampling)) : best;
  const ids: number[] = [];
  for (let id = 0; id < scores.length; id += 1) if (scores[id] >= floor) ids.push(id);
  if (sampling.temperature === 0) ids.length = 1; // the lowest among equals is chosen, always
  const shares = Float64Array.from(ids, (id) => Math.exp(scores[id] - best));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return { ids: Int32Array.from(ids), shares: shares.map((share) => share / total) };
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

/** Scores after penalties and temperature, and the largest of them; null where one is not finite. */
function warp(logits: Float32Array, draws: RowDraws, row: number) {
  const temperature = draws.sampling.temperature || 1;
  const scores = scoresOf(logits, draws, row);
  let best = Number.NEGATIVE_INFINITY;
  let notFinite = 0; // NaN from the first score on that is not finite
  for (let id = 0; id < scores.length; id += 1) {
    const score = scores[id] / temperature;
    notFinite += score - score;
    if (score > best) best = score;
    scores[id] = score;
  }
  return Number.isNaN(notFinite) ? null : { scores, best };
}

/** What no mask leaves out scores at least this. */
function floorOf(cuts: readonly TokenCut[]): number {
  return cuts.reduce((most, { last }) => Math.max(most, last), Number.NEGATIVE_INFINITY);
}

interface Noise {
  readonly k0: number;
  readonly k1: number;
}

/** Reused by every row of a thread. */
let scratch = new Float64Array();

/** A row's logits with penalties: transformers' for repetition, llama.cpp's for presence and frequency. */
function scoresOf(logits: Float32Array, { sampling, history, texts }: RowDraws, row: number): Float64Array {
  if (scratch.length !== logits.length) scratch = new Float64Array(logits.length);
  scratch.set(logits);
  if (!penalises(sampling)) return scratch;
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  const counts = new Map<number, number>();
  for (const id of history.subarray(texts[2 * row], texts[2 * row + 1]))
    counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) {
    const logit = scratch[id];
    const repeated = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    scratch[id] = repeated - count * frequencyPenalty - presencePenalty;
  }
  return scratch;
}

/** The largest score with noise among those from `floor` on; the lowest id among equals. */
function leaderOf(scores: Float64Array, floor: number, noise: Noise | null): Leader {
  let id = 0;
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < scores.length; token += 1) {
    let score = scores[token];
    if (score < floor) continue;
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
  return { id, best, margin: best - second };
}

interface Leader {
  readonly id: number;
  /** Noise included. */
  readonly best: number;
  readonly margin: number;
}

/** The same among those that the masks keep. */
function drawMasked(scores: Float64Array, largest: number, noise: Noise, sampling: Sampling): DrawnToken {
  const cuts = cutTokens(scores, largest, sampling);
  const floor = floorOf(cuts);
  const { id, best, margin: lead } = leaderOf(scores, floor, noise);
  let margin = Math.min(lead, distanceOfChange(cuts, scores[id]));
  // A token that the masks nearly keep matters if it would nearly win.
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token];
    if (score >= floor) continue;
    const bits = tokenBits(noise.k0, noise.k1, token);
    if (score + mostGumbelOf(bits) <= best - margin) continue;
    const behind = best - score - gumbelOf(bits);
    if (behind < margin) margin = Math.min(margin, Math.max(behind, distanceOfChange(cuts, score)));
  }
  return { id, margin };
}
