/** Sampling by its definition, with none of the engine's short cuts: what the engine's tokens are compared with. */

import type { Random, SamplingInput } from '@specoffload/engine';
import { gumbelOf, noiseKey, tokenBits } from '../../engine/dist/speculate/noise.js';
import type { Sampling } from '../../engine/dist/speculate/sampling.js';
import { integer, pick } from './draw.js';

/** Logits after penalties and temperature, -Infinity where a mask leaves a token out. */
export function warp(
  logits: Float32Array,
  text: readonly number[],
  { temperature, topK, topP, minP, ...penalties }: Sampling,
): Float64Array {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, penaltyWindow } = penalties;
  const seen = penaltyWindow === 0 ? text : text.slice(-penaltyWindow);
  const scores = Float64Array.from(logits, (logit, id) => {
    const count = seen.filter((token) => token === id).length;
    if (count === 0) return logit / (temperature || 1);
    const repeated = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    return (repeated - count * frequencyPenalty - presencePenalty) / (temperature || 1);
  });
  if (temperature === 0) return scores;
  /** @param isOut asked with a token's score, its probability, and what the likelier ones have together */
  const leaveOut = (isOut: (score: number, probability: number, above: number) => boolean) => {
    const probabilities = softmax(scores);
    const above = scores.map((score) =>
      probabilities.reduce((sum, probability, id) => sum + (scores[id]! > score ? probability : 0), 0),
    );
    for (const [id, probability] of probabilities.entries())
      if (isOut(scores[id]!, probability, above[id]!)) scores[id] = Number.NEGATIVE_INFINITY;
  };
  const sorted = [...scores].sort((a, b) => b - a);
  if (topK > 0 && topK < scores.length) leaveOut((score) => score < sorted[topK - 1]!);
  if (topP < 1) leaveOut((_score, _probability, above) => above >= topP && above > 0);
  if (minP > 0) {
    const best = Math.max(...softmax(scores));
    leaveOut((_score, probability) => probability < minP * best);
  }
  return scores;
}

export function softmax(scores: ArrayLike<number>): Float64Array {
  const best = Math.max(...Array.from(scores));
  const weights = Float64Array.from(scores, (score) => Math.exp(score - best));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** The token behind a text, and its lead in logits over the second. */
export function chooseToken(
  logits: Float32Array,
  text: readonly number[],
  sequence: number,
  sampling: Sampling,
): { id: number; lead: number } {
  const { seed, temperature } = sampling;
  const [k0, k1] = noiseKey(seed, sequence, text.length);
  const scores = warp(logits, text, sampling).map(
    (score, id) => score + (temperature === 0 ? 0 : gumbelOf(tokenBits(k0, k1, id))),
  );
  const [best, second] = [...scores].sort((a, b) => b - a);
  return { id: scores.indexOf(best!), lead: (best! - second!) * (temperature || 1) };
}

/** Settings of all kinds, each there in half of the draws. */
export function drawSampling(random: Random, vocabSize: number): SamplingInput {
  const maybe = <T>(name: string, value: T) => (random.uniform() < 0.5 ? { [name]: value } : {});
  return {
    seed: random.uint32(),
    temperature: pick(random, [0, 0.3, 0.7, 1, 1, 1.8]),
    ...maybe('topK', integer(random, 1, vocabSize)),
    ...maybe('topP', pick(random, [0, 0.3, 0.8, 0.95])),
    ...maybe('minP', pick(random, [0.01, 0.1, 0.5])),
    ...maybe('repetitionPenalty', pick(random, [0.8, 1.1, 1.5])),
    ...maybe('presencePenalty', pick(random, [-0.5, 0.4, 2])),
    ...maybe('frequencyPenalty', pick(random, [-0.2, 0.1, 1])),
    ...maybe('penaltyWindow', pick(random, [1, 5, 20])),
  };
}

/** Pearson's statistic against its 99.9 % point (Wilson and Hilferty's approximation); rare tokens are taken together. */
export function chiSquared(counts: readonly number[], probabilities: ArrayLike<number>) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let [statistic, cells, restCount, restShare] = [0, 0, 0, 0];
  const add = (count: number, share: number) => {
    statistic += (count - total * share) ** 2 / (total * share);
    cells += 1;
  };
  for (const [id, count] of counts.entries()) {
    const share = probabilities[id]!;
    if (total * share >= 5) add(count, share);
    else {
      restCount += count;
      restShare += share;
    }
  }
  if (total * restShare >= 1) add(restCount, restShare);
  const freedom = cells - 1;
  const limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * Math.sqrt(2 / (9 * freedom))) ** 3;
  return { statistic, limit, isLikely: statistic < limit && (restShare > 0 || restCount === 0) };
}
