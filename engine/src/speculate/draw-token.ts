/**
 * Coupled sampling: a row's token is the one whose logit / T plus Gumbel noise is the largest, which draws from the
 * softmax exactly (Gumbel-max), and since the noise is a function of seed, sequence, position and token, a draft that
 * sees nearly the same logits chooses the same token. Whether candidates stand is thus still a matter of equality, and
 * every order of computation writes the same text.
 */

import { gumbelOf, mostGumbelOf, tokenBits } from './noise.js';
import type { RowDraws } from './row-draws.js';
import { penalises, type Sampling } from './sampling.js';
import { cutTokens, distanceOfChange } from './token-cuts.js';

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
  const temperature = sampling.temperature || 1;
  const scores = scoresOf(logits, draws, row);
  let best = Number.NEGATIVE_INFINITY;
  let notFinite = 0; // NaN from the first score on that is not finite
  for (let id = 0; id < scores.length; id += 1) {
    const score = scores[id] / temperature;
    notFinite += score - score;
    if (score > best) best = score;
    scores[id] = score;
  }
  if (Number.isNaN(notFinite)) return { id: 0, margin: Number.NaN };
  const noise = { k0: keys[2 * row], k1: keys[2 * row + 1] };
  const { id, margin } =
    sampling.temperature > 0
      ? drawMasked(scores, best, noise, sampling)
      : leaderOf(scores, Number.NEGATIVE_INFINITY, null);
  return { id, margin: margin * temperature };
}

interface Noise {
  readonly k0: number;
  readonly k1: number;
}

/** Reused by every row of a thread. */
let scratch = new Float64Array();

/** A row's logits with penalties: transformers' for repetition, llama.cpp's for presence and frequency. */
export function scoresOf(
  logits: Float32Array,
  { sampling, history, texts }: RowDraws,
  row: number,
): Float64Array {
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
  const floor = cuts.reduce((most, { last }) => Math.max(most, last), Number.NEGATIVE_INFINITY);
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
