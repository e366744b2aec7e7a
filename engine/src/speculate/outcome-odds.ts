/** How likely each outcome of a verification is: how many candidates stand, and which of the draft's tokens follows them. */

import { nextChoice } from './acceptance.js';
import { AcceptanceEstimate } from './acceptance-estimate.js';

/** What the target does with a sequence's candidates. */
export interface Outcome {
  /** Candidates that stand. */
  readonly accepted: number;
  /** The token that the target adds is the draft's so many-th choice there (0-based); where a candidate fell, from 1 on. */
  readonly rank: number;
}

export interface LikelyOutcome extends Outcome {
  readonly chance: number;
}

/**
 * The outcomes of a verification, the most likely first.
 * @param rates the chance of each candidate before which all stood, and of the draft's own choice behind all
 * @param choices of the draft that are known at each place
 * @param shareOf the chance that a choice is the target's, where none before it is
 */
export function listOutcomes(
  rates: readonly number[],
  choices: number,
  shareOf: (rank: number) => number,
): LikelyOutcome[] {
  const found: LikelyOutcome[] = [];
  let stood = 1;
  for (const [accepted, rate] of rates.entries()) {
    // Behind all candidates the draft's first choice is as good as a candidate.
    if (accepted === rates.length - 1) found.push({ accepted, rank: 0, chance: stood * rate });
    let left = stood * (1 - rate);
    for (let rank = 1; rank < choices; rank += 1) {
      const share = shareOf(rank);
      found.push({ accepted, rank, chance: left * share });
      left *= 1 - share;
    }
    stood *= rate;
  }
  return found.sort((a, b) => b.chance - a.chance);
}

/** Verifications that the first guess counts for. */
const priorWeight = 4;
/** That the target's token is the draft's next choice, where it is none of those before. */
const firstGuess = nextChoice;
/** A verification counts as long as there are not many times this number of later ones. */
const memory = 256;

export class OutcomeOdds {
  readonly #acceptance = new AcceptanceEstimate();
  /** By rank - 1: how often a choice was the target's, none before it having been. */
  readonly #ranks: { judged: number; hit: number }[] = [];

  /**
   * One verification.
   * @param prepared how many of the draft's other choices something was prepared for, of the place where it mattered
   * @param rank which of them the target's token was; null: none of them
   */
  count(proposed: number, accepted: number, prepared: number, rank: number | null): void {
    this.#acceptance.count(proposed, proposed, accepted);
    const judged = rank ?? prepared;
    for (let index = 0; index < judged; index += 1) {
      this.#ranks[index] ??= { judged: 0, hit: 0 };
      const known = this.#ranks[index];
      known.judged = known.judged * (1 - 1 / memory) + 1;
      known.hit = known.hit * (1 - 1 / memory) + (index + 1 === rank ? 1 : 0);
    }
  }

  /**
   * Outcomes with `candidates` candidates under verification, the most likely first.
   * @param choices of the draft that are known at each place
   */
  list(candidates: number, choices: number): LikelyOutcome[] {
    return listOutcomes(this.#acceptance.ratesUpTo(candidates + 1), choices, (rank) => this.#shareOf(rank));
  }

  #shareOf(rank: number): number {
    const { judged, hit } = this.#ranks[rank - 1] ?? { judged: 0, hit: 0 };
    return (hit + priorWeight * firstGuess) / (judged + priorWeight);
  }
}
