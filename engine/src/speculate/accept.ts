/** What becomes of candidates once the target has seen them. */

import type { TokenShares } from './draw-token.js';

/**
 * Greedy acceptance: a candidate stands while it is what the target itself would have chosen there.
 *
 * @param candidates proposed tokens
 * @param choices the target's choice before each candidate and after the last one: one more than candidates
 * @returns how many candidates, from the first, are accepted
 */
export function acceptGreedy(candidates: ArrayLike<number>, choices: ArrayLike<number>): number {
  if (choices.length !== candidates.length + 1)
    throw new Error(
      `${candidates.length} candidates need ${candidates.length + 1} choices, got ${choices.length}`,
    );
  return countAccepted(candidates, choices, 0);
}

/** The same, with the choices from `first` on; those behind are another sequence's. */
export function countAccepted(
  candidates: ArrayLike<number>,
  choices: ArrayLike<number>,
  first: number,
): number {
  let accepted = 0;
  while (accepted < candidates.length && candidates[accepted] === choices[first + accepted]) accepted += 1;
  return accepted;
}

/** A sequence's candidates under the rejection rule. */
export interface DrawnCandidates {
  readonly candidates: readonly number[];
  /** What each was drawn from; null where it was not drawn, and so was certain. */
  readonly draft: readonly TokenShares[] | null;
  /** What the target draws from in each candidate's place, from `first` on. */
  readonly target: readonly TokenShares[];
  readonly first: number;
  /** Uniform in [0, 1): whether the candidate in a place stands, and which token replaces it. */
  readonly coins: (place: number) => readonly [number, number];
}

/**
 * The rejection rule over the candidates, up to the first that falls: tokens are distributed exactly as the target's
 * shares say, whatever the draft's were. Source: Leviathan et al., arXiv 2211.17192, section 2.3.
 *
 * @returns how many stand, and what replaces the next; null where all stand
 */
export function acceptDrawn({ candidates, draft, target, first, coins }: DrawnCandidates): {
  readonly accepted: number;
  readonly replacement: number | null;
} {
  for (const [place, candidate] of candidates.entries()) {
    const wanted = target[first + place];
    const proposed = draft?.[place] ?? { ids: Int32Array.of(candidate), shares: Float64Array.of(1) };
    const [coin, residualCoin] = coins(place);
    if (coin * shareOf(proposed, candidate) < shareOf(wanted, candidate)) continue;
    return { accepted: place, replacement: drawExcess(wanted, proposed, residualCoin) };
  }
  return { accepted: candidates.length, replacement: null };
}

function shareOf({ ids, shares }: TokenShares, id: number): number {
  return shares[ids.indexOf(id)] ?? 0;
}

/** A token from max(0, target - draft). */
function drawExcess(target: TokenShares, draft: TokenShares, coin: number): number {
  let behind = 0; // both lists ascend
  const excess = target.shares.map((share, place) => {
    while (behind < draft.ids.length && draft.ids[behind] < target.ids[place]) behind += 1;
    const isBoth = behind < draft.ids.length && draft.ids[behind] === target.ids[place];
    return Math.max(0, share - (isBoth ? draft.shares[behind] : 0));
  });
  let rest = coin * excess.reduce((sum, weight) => sum + weight, 0);
  let token = target.ids[0];
  for (const [place, weight] of excess.entries()) {
    if (weight === 0) continue;
    token = target.ids[place]; // the last one with weight serves a coin that rounding carries past the end
    if (rest < weight) break;
    rest -= weight;
  }
  return token;
}

/**
 * The chance that the rejection rule accepts a candidate drawn from `draft`: what both distributions have in common. No
 * rule can do better for a single candidate.
 * @param draft (vocab), sums to 1, as does `target`
 */
export function chanceByRejection(draft: ArrayLike<number>, target: ArrayLike<number>): number {
  let common = 0;
  for (let id = 0; id < target.length; id += 1) common += Math.min(draft[id], target[id]);
  return common;
}

/**
 * The chance that both choose the same token with the same Gumbel noise. A token is both's choice with 1 over the sum of
 * max(p_j / p_i, q_j / q_i) over all tokens j; with tokens in the order of p / q that is two running sums. At least
 * (1 - d) / (1 + d) where the rejection rule accepts with 1 - d.
 * @param draft (vocab), sums to 1, as does `target`
 */
export function chanceByCoupling(draft: ArrayLike<number>, target: ArrayLike<number>): number {
  const ratio = (id: number) => target[id] / draft[id];
  const ids = Array.from(target, (_, id) => id).filter((id) => draft[id] + target[id] > 0);
  ids.sort((a, b) => ratio(a) - ratio(b));
  let targetAbove = ids.reduce((sum, id) => sum + target[id], 0);
  let draftBelow = 0;
  let chance = 0;
  for (const id of ids) {
    if (draft[id] > 0 && target[id] > 0) chance += 1 / (targetAbove / target[id] + draftBelow / draft[id]);
    targetAbove -= target[id];
    draftBelow += draft[id];
  }
  return chance;
}
