/** Comparing what the engine wrote with what the reference would have written, ties told apart from errors. */

import { type GeneratedSequence, type ReferenceWeights, referenceLogits } from '@specoffload/engine';
import { isNearTie, routerTieMargin } from '../../engine/dist/run/ties.js';

export interface Comparison {
  /** Positions where the reference chooses otherwise and is not undecided. */
  readonly errors: readonly string[];
  /** Positions where it chooses otherwise to within rounding. */
  readonly ties: readonly string[];
  /** Positions at which either is undecided, whether or not they chose alike. */
  readonly nearTies: number;
}

/**
 * Asks the reference for its choice at every position of the engine's continuation, given the engine's tokens before
 * it. The first difference is where greedy decoding by the reference would have left the engine's path, and what
 * follows it is checked all the same.
 *
 * A router that is undecided at any earlier position counts too: what the other expert adds stays in the KV cache.
 */
export function compareWithReference(
  weights: ReferenceWeights,
  prompt: readonly number[],
  { ids, margins, routerMargins }: GeneratedSequence,
): Comparison {
  const { expertsPerToken, numExperts } = weights.config;
  const routerLeads = [...prompt, ...ids].map(() => Number.POSITIVE_INFINITY); // (position)
  const logits = referenceLogits(weights, [...prompt, ...ids.slice(0, -1)], {
    onRoute: ({ position, logits: scores }) => {
      if (expertsPerToken === numExperts) return;
      const sorted = [...scores].sort((a, b) => b - a);
      const lead = sorted[expertsPerToken - 1]! - sorted[expertsPerToken]!;
      routerLeads[position] = Math.min(routerLeads[position]!, lead);
    },
  });
  const errors: string[] = [];
  const ties: string[] = [];
  let nearTies = 0;
  for (const [index, id] of ids.entries()) {
    const position = prompt.length - 1 + index;
    const { best, margin } = leader(logits[position]!);
    const routerMargin = Math.min(...routerLeads.slice(0, position + 1));
    const isTie =
      isNearTie({ margin, routerMargin }) ||
      isNearTie({ margin: margins[index]!, routerMargin: routerMargins[index]! });
    if (isTie) nearTies += 1;
    // The first choice rests on the routing of the whole prompt.
    const ownLead = index === 0 ? routerMargin : routerLeads[position]!;
    const routerError = Math.abs(ownLead - routerMargins[index]!); // NaN when both are infinite
    const found = `position ${position}: ${id} where the reference chooses ${best} by ${margin}`;
    if (best !== id) (isTie ? ties : errors).push(found);
    // Equal choices with different margins: the engine's logits are off by more than rounding.
    else if (routerMargin >= routerTieMargin && !(Math.abs(margin - margins[index]!) < 2e-4))
      errors.push(`position ${position}: margin ${margins[index]} where the reference has ${margin}`);
    else if (routerMargin >= routerTieMargin && routerError >= 2e-4)
      errors.push(`position ${position}: router margin ${routerMargins[index]}, not ${ownLead}`);
  }
  return { errors, ties, nearTies };
}

/** The lowest id among the most likely ones, and its lead over the second. */
function leader(logits: Float32Array): { best: number; margin: number } {
  let best = 0;
  for (const [id, value] of logits.entries()) if (value > logits[best]!) best = id;
  const rest = logits.filter((_, id) => id !== best);
  return { best, margin: logits[best]! - Math.max(...rest) };
}
