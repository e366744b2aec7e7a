/** How often the target agreed with the draft. */

/** By candidate position (0-based). A candidate after a rejected one was proposed and not accepted. */
export interface PositionCount {
  readonly proposed: number;
  readonly accepted: number;
}

/** A run's acceptance in numbers. */
export interface AcceptanceReport {
  readonly proposed: number;
  readonly accepted: number;
  /** accepted / proposed. */
  readonly rate: number;
  /** New tokens per sequence and verification, the target's own token included, those past a limit not. */
  readonly tokensPerRound: number;
  readonly byPosition: readonly PositionCount[];
}

/** Counts verifications as they happen. */
export class AcceptanceCounter {
  readonly #byPosition: { proposed: number; accepted: number }[] = [];
  #rounds = 0;
  #tokens = 0;

  /** One sequence's verification: of `proposed` candidates the first `accepted` stood, `tokens` were kept. */
  count(proposed: number, accepted: number, tokens: number): void {
    this.#rounds += 1;
    this.#tokens += tokens;
    for (let position = 0; position < proposed; position += 1) {
      this.#byPosition[position] ??= { proposed: 0, accepted: 0 };
      this.#byPosition[position].proposed += 1;
      if (position < accepted) this.#byPosition[position].accepted += 1;
    }
  }

  /** Null when nothing was ever proposed. */
  report(): AcceptanceReport | null {
    const sum = (field: keyof PositionCount) =>
      this.#byPosition.reduce((total, count) => total + count[field], 0);
    const proposed = sum('proposed');
    if (proposed === 0) return null;
    return {
      proposed,
      accepted: sum('accepted'),
      rate: sum('accepted') / proposed,
      tokensPerRound: this.#tokens / this.#rounds,
      byPosition: this.#byPosition.map((count) => ({ ...count })),
    };
  }
}
