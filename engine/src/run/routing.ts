/** Which experts each row goes to. */

import type { FfnSpec, RouterSpec } from '../model/spec.js';
import { ffnChunkRows } from '../schedule/memory-plan.js';
import type { ExpertRows } from '../schedule/ops.js';

/**
 * Softmax over all experts, and the k largest of it (the lower index first among equals), as they are or made to sum to
 * one, which is the softmax over the k chosen logits. Source: `Qwen3MoeTopKRouter` in Hugging Face transformers.
 *
 * @param logits (row, expert)
 * @param margins (row), mutated: lowered to the lead of the last chosen logit over the best one not chosen, when
 * that is smaller; below rounding, another order of computation may choose another expert
 */
export function chooseExperts(
  logits: Float32Array,
  numExperts: number,
  expertsPerToken: number,
  weights: RouterSpec['weights'],
  margins: Float32Array,
): ExpertRows[] {
  const rows: { indices: number[]; weights: number[] }[] = Array.from({ length: numExperts }, () => ({
    indices: [],
    weights: [],
  }));
  const order = new Int32Array(Math.min(expertsPerToken + 1, numExperts));
  for (let row = 0; row < margins.length; row += 1) {
    const scores = logits.subarray(row * numExperts, (row + 1) * numExperts);
    selectLargest(scores, order);
    const chosen = order.subarray(0, expertsPerToken);
    if (expertsPerToken < numExperts) {
      const lead = scores[order[expertsPerToken - 1]] - scores[order[expertsPerToken]];
      margins[row] = Math.min(margins[row], lead);
    }
    let sum = 0;
    for (const expert of weights === 'as-is' ? scores.keys() : chosen)
      sum += Math.exp(scores[expert] - scores[chosen[0]]);
    for (const expert of chosen) {
      rows[expert].indices.push(row);
      rows[expert].weights.push(Math.exp(scores[expert] - scores[chosen[0]]) / sum);
    }
  }
  return rows.map(({ indices, weights }) => ({
    indices: Int32Array.from(indices),
    weights: Float32Array.from(weights),
  }));
}

/** Every row's experts where there is a choice, and what everybody is told of it. */
export function routeRows(
  { numExperts, expertsPerToken, router }: FfnSpec,
  scores: Float32Array | undefined,
  margins: Float32Array,
): {
  readonly chosen: readonly ExpertRows[];
  readonly expertRows: Int32Array[];
  readonly rowsPerExpert: number[];
} {
  const chosen =
    scores && router
      ? chooseExperts(scores, numExperts, expertsPerToken, router.weights, margins)
      : [everyRow(margins.length)];
  const expertRows = chosen.map(({ indices }) => indices);
  return { chosen, expertRows, rowsPerExpert: expertRows.map(({ length }) => length) };
}

/** A dense FFN is one expert that every row chooses. */
export function everyRow(rows: number): ExpertRows {
  return {
    indices: Int32Array.from({ length: rows }, (_, row) => row),
    weights: new Float32Array(rows).fill(1),
  };
}

/** An expert's rows in pieces that the scratch memory of an FFN holds. */
export function* inChunks({ indices, weights }: ExpertRows): Generator<ExpertRows> {
  for (let start = 0; start < indices.length; start += ffnChunkRows)
    yield {
      indices: indices.subarray(start, start + ffnChunkRows),
      weights: weights.subarray(start, start + ffnChunkRows),
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
