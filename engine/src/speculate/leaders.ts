/** The tokens that a row of logits favours, its draw's noise included: what the target may choose where it chooses otherwise. */

import { gumbelOf, mostGumbelOf, tokenBits } from './noise.js';
import type { RowDraws } from './row-draws.js';

/** Some tokens of a row, the most favoured first. */
export interface Leaders {
  readonly ids: readonly number[];
  /** Of each, how far it is behind the first, in logits over the temperature. */
  readonly behind: readonly number[];
}

/**
 * Masks and penalties are not looked at: this is a guess, which nothing but luck depends on.
 * @param logits (vocab)
 * @param draws how the row's token is drawn; missing: the largest is chosen
 */
export function leadersOf(
  logits: Float32Array,
  count: number,
  draws: RowDraws | undefined,
  row: number,
): Leaders {
  const { temperature = 0, rule = 'coupled' } = draws?.sampling ?? {};
  const scale = 1 / (temperature || 1);
  // Under the rejection rule the target's draws know nothing of the draft's.
  const isNoisy = temperature > 0 && rule === 'coupled';
  const [k0, k1] = draws && isNoisy ? [draws.keys[2 * row], draws.keys[2 * row + 1]] : [0, 0];
  const ids: number[] = [];
  const scores: number[] = [];
  let last = Number.NEGATIVE_INFINITY; // of those kept so far, where there are enough
  for (let id = 0; id < logits.length; id += 1) {
    let score = logits[id] * scale;
    if (isNoisy) {
      const bits = tokenBits(k0, k1, id);
      if (score + mostGumbelOf(bits) <= last) continue;
      score += gumbelOf(bits);
    }
    if (score <= last) continue;
    let place = scores.length;
    while (place > 0 && scores[place - 1] < score) place -= 1;
    ids.splice(place, 0, id);
    scores.splice(place, 0, score);
    if (scores.length < count) continue;
    ids.length = count;
    scores.length = count;
    last = scores[count - 1];
  }
  return { ids, behind: scores.map((score) => scores[0] - score) };
}
