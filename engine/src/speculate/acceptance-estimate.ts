/** How often candidates stand, by position, as a run has seen it of late. */

/** A verification counts as long as there are not many times this number of later ones. */
const memory = 256;
/** Verifications that the place before counts for, where a place itself has hardly been reached. */
const priorWeight = 2;
const firstGuess = 0.5;

export class AcceptanceEstimate {
  /** By position: how often a candidate was judged, those before it having stood, and how often it stood. */
  readonly #places: { judged: number; stood: number }[] = [];

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

  /** Expected tokens of a round, the target's own included. */
  tokensOf(candidates: number): number {
    let tokens = 1;
    let chance = 1;
    let rate = firstGuess;
    for (let position = 0; position < candidates; position += 1) {
      const { judged, stood } = this.#places[position] ?? { judged: 0, stood: 0 };
      rate = (stood + priorWeight * rate) / (judged + priorWeight);
      chance *= rate;
      tokens += chance;
    }
    return tokens;
  }
}
