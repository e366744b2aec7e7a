/**
 * Where rounding may decide. Matrix products of different row counts add up in different orders, so two correct
 * orders of computation may disagree where the target itself is undecided to within rounding.
 */

/**
 * Lead of the best over the second logit below which a choice is a tie: twice the 1e-4 within which logits agree
 * with the reference, since both may move.
 */
export const tieMargin = 2e-4;

/** The same for the router, whose logits are one product away from the residual stream. */
export const routerTieMargin = 2e-5;

/** Whether another order of computation may legitimately choose otherwise at this position. */
export function isNearTie({ margin, routerMargin }: { margin: number; routerMargin: number }): boolean {
  return margin < tieMargin || routerMargin < routerTieMargin;
}
