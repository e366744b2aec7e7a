/** Comparing what the engine wrote with what the reference would have written, ties told apart from errors. */

import {
  type GeneratedSequence,
  type ReferenceWeights,
  referenceLogits,
  summarise,
} from '@specoffload/engine';
import { f32Arithmetic } from '../../engine/dist/machine/arithmetic.js';
import { isNearTie } from '../../engine/dist/run/ties.js';

const { tieMargin, routerTieMargin } = f32Arithmetic;

/** What the reference says about one new token, given the engine's tokens before it. */
export interface Judgement {
  /** In the sequence, zero-based, of the last token before it. */
  readonly position: number;
  readonly logits: Float32Array; // (vocab)
  /** The lowest id among the most likely ones. */
  readonly best: number;
  /** Its lead over the second. */
  readonly margin: number;
  /** Smallest lead of the router here; of the first new token, over the whole prompt. Infinity without a choice. */
  readonly routerMargin: number;
  /** The same over all positions so far: what another expert adds there stays in the KV cache. */
  readonly routerMarginSoFar: number;
}

export interface Comparison {
  /** Positions where the reference chooses otherwise and is not undecided, or reports another margin. */
  readonly errors: readonly string[];
  /** Positions where it chooses otherwise to within rounding. */
  readonly ties: readonly string[];
  /** Positions at which the reference is undecided, whether or not they chose alike. */
  readonly nearTies: number;
}

/**
 * The reference's choice at every position of a continuation. The first one that differs is where greedy decoding by
 * the reference would have left the engine's path, and what follows it can be judged all the same.
 */
export function judge(
  weights: ReferenceWeights,
  prompt: readonly number[],
  ids: readonly number[],
): Judgement[] {
  const { expertsPerToken, numExperts } = summarise(weights.spec);
  const leads = [...prompt, ...ids].map(() => Number.POSITIVE_INFINITY); // (position)
  const logits = referenceLogits(weights, [...prompt, ...ids.slice(0, -1)], {
    onRoute: ({ position, logits: scores }) => {
      if (expertsPerToken === numExperts) return;
      const sorted = [...scores].sort((a, b) => b - a);
      const lead = sorted[expertsPerToken - 1] - sorted[expertsPerToken];
      leads[position] = Math.min(leads[position], lead);
    },
  });
  return ids.map((_, index) => {
    const position = prompt.length - 1 + index;
    const routerMarginSoFar = Math.min(...leads.slice(0, position + 1));
    const routerMargin = index === 0 ? routerMarginSoFar : leads[position];
    return {
      position,
      logits: logits[position],
      ...leader(logits[position]),
      routerMargin,
      routerMarginSoFar,
    };
  });
}

/**
 * What the reference would write in place of each token, given those before it: a text is what it continues with where
 * these are its own tokens, which one pass tells, and not one for each.
 */
export function choicesAlong(
  weights: ReferenceWeights,
  prompt: readonly number[],
  ids: readonly number[],
): number[] {
  return judge(weights, prompt, ids).map(({ best }) => best);
}

/** The reference alone says what is undecided: a broken engine may report any margin. */
export function compare(judgements: readonly Judgement[], sequence: GeneratedSequence): Comparison {
  const errors: string[] = [];
  const ties: string[] = [];
  let nearTies = 0;
  for (const [index, judgement] of judgements.entries()) {
    const { position, logits, best, margin, routerMargin, routerMarginSoFar } = judgement;
    const id = sequence.ids[index];
    const isRouterTie = routerMarginSoFar < routerTieMargin;
    if (isNearTie({ margin, routerMargin: routerMarginSoFar }, f32Arithmetic)) nearTies += 1;
    if (id !== best) {
      const isTie = isRouterTie || logits[best] - logits[id] < tieMargin;
      (isTie ? ties : errors).push(
        `position ${position}: ${id} where the reference chooses ${best} by ${margin}`,
      );
    } else if (!isRouterTie) {
      // Equal choices with different margins: the engine's arithmetic is off by more than rounding.
      const reported = [sequence.margins[index], sequence.routerMargins[index]];
      for (const [which, expected] of [margin, routerMargin].entries())
        if (!isClose(reported[which], expected))
          errors.push(
            `position ${position}: ${which === 0 ? '' : 'router '}margin ${reported[which]} where the reference has ${expected}`,
          );
    }
  }
  return { errors, ties, nearTies };
}

/** Two logits of each side may be off by the 1e-4 within which they agree. */
function isClose(a: number, b: number): boolean {
  return a === b || Math.abs(a - b) < tieMargin; // two infinities are equal
}

function leader(logits: Float32Array): { best: number; margin: number } {
  let best = 0;
  for (const [id, value] of logits.entries()) if (value > logits[best]) best = id;
  const rest = logits.filter((_, id) => id !== best);
  return { best, margin: logits[best] - Math.max(...rest) };
}
