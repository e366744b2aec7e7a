/** Which experts each row goes to, as the processor finds it. */

import type { FfnSpec } from '../model/spec.js';
import type { ExpertChoices } from './device.js';

export interface WeighedChoices extends ExpertChoices {
  /** (row, expertsPerToken): what the chosen experts' outputs are multiplied with. */
  readonly weights: Float32Array;
}

/**
 * Softmax over all experts, and the k largest of it (the lower index first among equals), as they are or made to sum to
 * one, which is the softmax over the k chosen logits. Source: `Qwen3MoeTopKRouter` in Hugging Face transformers.
 *
 * @param scores (row, expert)
 */
export function chooseExperts(
  { numExperts, expertsPerToken, router }: Pick<FfnSpec, 'numExperts' | 'expertsPerToken' | 'router'>,
  scores: Float32Array,
): WeighedChoices {
  const numRows = scores.length / numExperts;
  const experts = new Int32Array(numRows * expertsPerToken);
  const weights = new Float32Array(experts.length);
  const margins = new Float32Array(numRows).fill(Number.POSITIVE_INFINITY);
  const order = new Int32Array(Math.min(expertsPerToken + 1, numExperts));
  for (let row = 0; row < numRows; row += 1) {
    const own = scores.subarray(row * numExperts, (row + 1) * numExperts);
    selectLargest(own, order);
    const chosen = order.subarray(0, expertsPerToken);
    if (expertsPerToken < numExperts)
      margins[row] = own[order[expertsPerToken - 1]] - own[order[expertsPerToken]];
    if (!own.every(Number.isFinite)) margins[row] = Number.NaN;
    let sum = 0;
    for (const expert of router?.weights === 'as-is' ? own.keys() : chosen)
      sum += Math.exp(own[expert] - own[chosen[0]]);
    experts.set(chosen, row * expertsPerToken);
    for (const [place, expert] of chosen.entries())
      weights[row * expertsPerToken + place] = Math.exp(own[expert] - own[chosen[0]]) / sum;
  }
  return { experts, weights, margins };
}

/** By expert, how many rows chose it. */
export function countRows(numExperts: number, experts: Int32Array): number[] {
  const counts = new Array<number>(numExperts).fill(0);
  for (const expert of experts) counts[expert] += 1;
  return counts;
}

/** The rows that chose each expert, ascending, one expert's behind the other's, and what its output is multiplied with. */
export function listRows(
  { numExperts, expertsPerToken }: Pick<FfnSpec, 'numExperts' | 'expertsPerToken'>,
  experts: Int32Array,
  weights?: Float32Array,
): { readonly indices: Int32Array; readonly scales: Float32Array } {
  const indices = new Int32Array(experts.length);
  const scales = new Float32Array(experts.length);
  let start = 0;
  const starts = countRows(numExperts, experts).map((count) => {
    start += count;
    return start - count;
  });
  for (const [choice, expert] of experts.entries()) {
    const place = starts[expert];
    starts[expert] += 1;
    indices[place] = Math.floor(choice / expertsPerToken);
    if (weights) scales[place] = weights[choice];
  }
  return { indices, scales };
}

/** Lists that lie one behind the other. */
export function splitRows(counts: readonly number[], rows: Int32Array): Int32Array[] {
  let end = 0;
  return counts.map((count) => {
    end += count;
    return rows.slice(end - count, end);
  });
}

/** What a dense FFN comes to: every row goes to the one that there is. */
export function oneExpert(rows: number): WeighedChoices {
  return {
    experts: new Int32Array(rows),
    weights: new Float32Array(rows).fill(1),
    margins: new Float32Array(rows).fill(Number.POSITIVE_INFINITY),
  };
}

/** Fills `order` with the indices of the largest scores, descending; equals keep their order. */
function selectLargest(scores: Float32Array, order: Int32Array): void {
  for (let i = 0; i < scores.length; i += 1) {
    let place = Math.min(i, order.length);
    while (place > 0 && scores[order[place - 1]] < scores[i]) {
      if (place < order.length) order[place] = order[place - 1];
      place -= 1;
    }
    if (place < order.length) order[place] = i;
  }
}
