/** How often candidates stand, by position, as a run has seen it of late. */

/** A verification counts as long as there are not many times this number of later ones. */
const memory = 256;
/** Verifications that the place before counts for, where a place itself has hardly been reached. */
const priorWeight = 2;
/** Verifications that another estimate counts for, where it is the prior. */
const otherWeight = 16;
const firstGuess = 0.5;

export interface Tokens {
  readonly mean: number;
  readonly variance: number;
}

export class AcceptanceEstimate {
  /** By position: how often a candidate was judged, those before it having stood, and how often it stood. */
  readonly #places: { judged: number; stood: number }[] = [];
  readonly #prior: AcceptanceEstimate | null;

  /** @param prior what is known of others. @default nothing is */
  constructor(prior: AcceptanceEstimate | null = null) {
    this.#prior = prior;
  }

  /**
   * One verification of a sequence. A candidate that was wanted and not proposed counts as one that did not stand.
   * @param wanted most that could have been proposed
   */
  count(wanted: number, proposed: number, accepted: number): void {
    const judged = Math.min(Math.max(wanted, proposed), accepted + 1);
    for (let position = 0; position < judged; position += 1) {
      this.#places[position] ??= { judged: 0, stood: 0 };
      const place = this.#places[position];
      place.judged = place.judged * (1 - 1 / memory) + 1;
      place.stood = place.stood * (1 - 1 / memory) + (position < accepted ? 1 : 0);
    }
  }

  /** Tokens of a round, the target's own included. */
  tokensOf(candidates: number): Tokens {
    let accepted = 0;
    let squares = 0;
    let chance = 1;
    let position = 0;
    for (const rate of this.ratesUpTo(candidates)) {
      chance *= rate;
      accepted += chance;
      squares += (2 * position + 1) * chance;
      position += 1;
    }
    return { mean: 1 + accepted, variance: squares - accepted ** 2 };
  }

  /** By position: the chance of a candidate before which all stood. */
  ratesUpTo(candidates: number): readonly number[] {
    const others = this.#prior === null ? null : this.#prior.ratesUpTo(candidates);
    let before = firstGuess;
    return Array.from({ length: candidates }, (_, position) => {
      const { judged, stood } = this.#places[position] ?? { judged: 0, stood: 0 };
      const [guess, weight] = others ? [others[position], otherWeight] : [before, priorWeight];
      before = (stood + weight * guess) / (judged + weight);
      return before;
    });
  }
}
