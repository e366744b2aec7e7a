/**
 * Other choices of the draft that are verified beside its candidates: where the target chooses one of them, the choice that
 * it makes behind it is known with the same pass. Candidates and these are a tree of which one branch is long.
 * Source: trees of candidates in SpecExec, arXiv 2406.02532, and Sequoia, arXiv 2402.12374.
 */

import type { Sequence } from './sequence.js';

/** What may follow where the target chooses otherwise than a candidate. */
export interface Alternate {
  /** Of the candidate that it stands in for, 0-based: behind those before it. */
  readonly place: number;
  /** The other choice, and what would follow it. */
  readonly ids: readonly number[];
}

export const noAlternates: readonly Alternate[] = [];

/**
 * The second choice in each of the places in which it is likeliest to bring a token: those that are likely to be reached,
 * and where the draft is in doubt. At most one for each place, in their order.
 */
export function pickAlternates(
  { candidates, candidateLeaders }: Pick<Sequence, 'candidates' | 'candidateLeaders'>,
  count: number,
): readonly Alternate[] {
  if (count === 0 || !candidateLeaders) return noAlternates;
  const found: { readonly place: number; readonly id: number; readonly chance: number }[] = [];
  let reached = 1;
  for (const [place, candidate] of candidates.entries()) {
    const { ids, behind } = candidateLeaders[place];
    const second = ids.findIndex((id) => id !== candidate);
    if (second < 0) continue;
    const chance = 1 / (1 + Math.exp(behind[second]));
    found.push({ place, id: ids[second], chance: reached * chance });
    reached *= 1 - chance;
  }
  return found
    .sort((a, b) => b.chance - a.chance || a.place - b.place)
    .slice(0, count)
    .sort((a, b) => a.place - b.place)
    .map(({ place, id }) => ({ place, ids: [id] }));
}
