/**
 * Where rounding may decide. Matrix products of different row counts add up in different orders, so two correct
 * orders of computation may disagree where the target itself is undecided to within rounding.
 */

import type { Arithmetic } from '../machine/arithmetic.js';

/** Whether another order of computation may legitimately choose otherwise at this position. */
export function isNearTie(
  { margin, routerMargin }: { readonly margin: number; readonly routerMargin: number },
  { tieMargin, routerTieMargin }: Arithmetic,
): boolean {
  return margin < tieMargin || routerMargin < routerTieMargin;
}
