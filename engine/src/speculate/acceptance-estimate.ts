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
  /** How often a candidate fell, and tokens that alternates brought behind those that stood. */
  #falls = 0;
  #found = 0;
  readonly #prior: AcceptanceEstimate | null;

  /** @param prior what is known of others. @default nothing is */
  constructor(prior: AcceptanceEstimate | null = null) {
    this.#prior = prior;
  }

  /**
   * One verification of a sequence. A candidate that was wanted and not proposed counts as one that did not stand.
   * @param wanted most that could have been proposed
   * @param found tokens of alternates that stood in place of the candidate that fell
   */
  count(wanted: number, proposed: number, accepted: number, found = 0): void {
    if (accepted < proposed) {
      this.#falls = this.#falls * (1 - 1 / memory) + 1;
      this.#found = this.#found * (1 - 1 / memory) + found;
    }
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
    const found = this.#foundPerFall();
    const falls = candidates > 0 ? 1 - chance : 0;
    const mean = accepted + found * falls;
    squares += found * (2 * (accepted - candidates * chance) + found * falls);
    return { mean: 1 + mean, variance: squares - mean ** 2 };
  }

  /** Tokens that alternates bring where a candidate falls. */
  #foundPerFall(): number {
    const [guess, weight] =
      this.#prior === null ? [0, priorWeight] : [this.#prior.#foundPerFall(), otherWeight];
    return (this.#found + weight * guess) / (this.#falls + weight);
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
