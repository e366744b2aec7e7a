/** How likely each outcome of a verification is: how many candidates stand, and which of the draft's tokens follows them. */

import { AcceptanceEstimate } from './acceptance-estimate.js';

/** What the target does with a sequence's candidates. */
export interface Outcome {
  /** Candidates that stand. */
  readonly accepted: number;
  /** The token that the target adds is the draft's so many-th choice there (0-based); where a candidate fell, from 1 on. */
  readonly rank: number;
}

/** Verifications that the first guess counts for. */
const priorWeight = 4;
/** That the target's token is the draft's next choice, where it is none of those before. */
const firstGuess = 0.4;
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
  list(candidates: number, choices: number): (Outcome & { readonly chance: number })[] {
    const rates = this.#acceptance.ratesUpTo(candidates + 1);
    const found: (Outcome & { chance: number })[] = [];
    let stood = 1;
    for (let accepted = 0; accepted <= candidates; accepted += 1) {
      // Behind all candidates the draft's first choice is as good as a candidate.
      if (accepted === candidates) found.push({ accepted, rank: 0, chance: stood * rates[accepted] });
      let left = stood * (1 - rates[accepted]);
      for (let rank = 1; rank < choices; rank += 1) {
        const share = this.#shareOf(rank);
        found.push({ accepted, rank, chance: left * share });
        left *= 1 - share;
      }
      stood *= rates[accepted];
    }
    return found.sort((a, b) => b.chance - a.chance);
  }

  #shareOf(rank: number): number {
    const { judged, hit } = this.#ranks[rank - 1] ?? { judged: 0, hit: 0 };
    return (hit + priorWeight * firstGuess) / (judged + priorWeight);
  }
}
