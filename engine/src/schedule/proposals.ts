/** What all drafters have in common: how much a sequence wants proposed, and what becomes of it. */

import type { Oracle } from '../speculate/acceptance.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { Leaders } from '../speculate/leaders.js';
import type { Sequence } from '../speculate/sequence.js';
import type { DraftRound } from './drafter.js';

/** After all target work: drafters use the idle time of their lanes. Target priorities are pass numbers. */
export const draftPriority = 1e9;

/** One sequence in a round of proposing. */
export interface Proposal {
  readonly sequence: Sequence;
  readonly wanted: number;
  /** Candidates under verification that the round takes for accepted: it goes on behind them. */
  readonly assumed: readonly number[];
}

const nothing: readonly number[] = [];

/**
 * Forgets what was proposed for the sequences before, and says what they want now: never more than they could still
 * use, since the target adds a token of its own to those it accepts. Mutates the sequences.
 */
export function beginProposals(round: DraftRound): Proposal[] {
  return beginEach(round, (sequence, assumed, wanted): Proposal => ({ sequence, assumed, wanted }));
}

/** The same, each made by `begin`: predictions make millions of them, and an object for each is enough. */
export function beginEach<Begun extends Proposal>(
  { sequences, isAhead, candidates }: DraftRound,
  begin: (sequence: Sequence, assumed: readonly number[], wanted: number) => Begun,
): Begun[] {
  // When proposing ahead, the first proposal is a guess at the token that the target will add itself.
  const extra = isAhead ? 1 : 0;
  const proposals: Begun[] = [];
  for (const sequence of sequences) {
    const assumed = isAhead ? sequence.candidates : nothing;
    keepProposal(sequence, nothingProposed, isAhead);
    const left = sequence.remaining - 1 - assumed.length;
    const wanted = left > extra ? Math.min(candidates + extra, left) : 0;
    if (wanted > 0) proposals.push(begin(sequence, assumed, wanted));
  }
  return proposals;
}

/** What is known of proposed tokens. */
export interface Proposed {
  readonly ids: readonly number[];
  readonly shares: readonly TokenShares[] | null;
  readonly leaders: readonly Leaders[] | null;
}

const nothingProposed: Proposed = { ids: nothing, shares: null, leaders: null };

const nothingPrepared: Sequence['prepared'] = [];

/** Ahead, the first is a guess at the target's own token behind all candidates. Mutates the sequence. */
export function keepProposal(sequence: Sequence, { ids, shares, leaders }: Proposed, isAhead: boolean): void {
  if (!isAhead) {
    sequence.candidates = ids;
    sequence.alternates = null;
    sequence.candidateShares = shares;
    sequence.candidateLeaders = leaders;
  } else if (ids.length === 0) sequence.prepared = nothingPrepared;
  else
    sequence.prepared = [
      {
        ...{ accepted: sequence.candidates.length, rank: 0, token: ids[0], isCached: true },
        ...{ ids: ids.slice(1), shares: shares?.slice(1) ?? null, leaders: leaders?.slice(1) ?? null },
      },
    ];
}

/** What leaders say in a prediction, of a place that alternates find and of any other. */
const [doubted, sure]: readonly number[] = [-1e3, 1e3];
const rightLeaders: Leaders = { ids: [0, 1], behind: [0, sure] };
const hitLeaders: Leaders = { ids: [1, 0], behind: [0, doubted] };
const wrongLeaders: Leaders = { ids: [1, 2], behind: [0, sure] };

/** What the draft favours in the places of such proposals, as far as its second choice goes. */
export function imagineLeaders(
  oracle: Oracle,
  proposals: readonly Proposal[],
  proposed: readonly number[],
  first: number,
  end: number,
  alternates: number,
): Leaders[] {
  let next = 0;
  return proposals.flatMap(({ sequence, assumed, wanted }) => {
    const found: Leaders[] = [];
    for (let step = first; step < end && step < wanted; step += 1) {
      const position = sequence.choices.length + assumed.length + step;
      const isRight = proposed[next] === 0;
      next += 1;
      if (isRight) found.push(rightLeaders);
      else {
        const isSecond = oracle.rankOf?.(sequence.index, position) === 1;
        const isFound = oracle.findsDoubt?.(sequence.index, position, alternates, wanted) ?? true;
        found.push(isSecond && isFound ? hitLeaders : wrongLeaders);
      }
    }
    return found;
  });
}

/** The proposals of steps `first` to before `end`: what the target chooses (0) or something else (1). */
export function imagineProposals(
  oracle: Oracle,
  proposals: readonly Proposal[],
  first: number,
  end: number,
): number[] {
  const proposed = new Array<number>(
    proposals.reduce((sum, { wanted }) => sum + Math.max(0, Math.min(end, wanted) - first), 0),
  );
  let next = 0;
  for (const { sequence, assumed, wanted } of proposals) {
    const position = sequence.choices.length + assumed.length;
    for (let step = first; step < end && step < wanted; step += 1) {
      proposed[next] = oracle.accepts(sequence.index, position, step) ? 0 : 1;
      next += 1;
    }
  }
  return proposed;
}
