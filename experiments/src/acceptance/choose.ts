/** How many candidates pay: what a round brings against what it takes. */

/**
 * The number of candidates with the most tokens per time, a round taking one pass and `stepCost` passes more for every
 * candidate; the smaller of equals.
 * @param tokensOf tokens of a round of so many candidates
 */
export function bestCandidates(
  tokensOf: (candidates: number) => number,
  stepCost: number,
  mostCandidates: number,
): number {
  let best = 0;
  for (let candidates = 1; candidates <= mostCandidates; candidates++)
    if (speedOf(tokensOf, stepCost, candidates) > speedOf(tokensOf, stepCost, best)) best = candidates;
  return best;
}

/** Tokens per pass's time. */
export function speedOf(
  tokensOf: (candidates: number) => number,
  stepCost: number,
  candidates: number,
): number {
  return tokensOf(candidates) / (1 + candidates * stepCost);
}
