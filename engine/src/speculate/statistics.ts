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
  /** Where alternates were verified. */
  readonly alternates?: AlternateCount;
}

/** Other choices of the draft, verified beside its candidates. */
export interface AlternateCount {
  /** Tokens. */
  readonly proposed: number;
  /** Rounds of a sequence in which the target chose one. */
  readonly hits: number;
  /** Tokens more for that, those past a limit included. */
  readonly tokens: number;
}

/** Counts verifications as they happen. */
export class AcceptanceCounter {
  readonly #byPosition: { proposed: number; accepted: number }[] = [];
  #rounds = 0;
  #tokens = 0;
  readonly #alternates = { proposed: 0, hits: 0, tokens: 0 };

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

  /** The same one's alternates: so many tokens of them, which brought so many. */
  countAlternates(proposed: number, tokens: number): void {
    this.#alternates.proposed += proposed;
    this.#alternates.hits += tokens > 0 ? 1 : 0;
    this.#alternates.tokens += tokens;
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
      ...(this.#alternates.proposed > 0 ? { alternates: { ...this.#alternates } } : {}),
    };
  }
}

/** What drafting ahead was worth. */
export interface AheadReport {
  /** Verifications after which more candidates could be used. */
  readonly verifications: number;
  /** Of those, how many turned out in a way that candidates had been prepared for. */
  readonly hits: number;
  /** Outcomes that candidates were prepared for. */
  readonly outcomes: number;
  /** Candidates prepared, and those of them that the next round took. */
  readonly preparedTokens: number;
  readonly takenTokens: number;
  /** Hits by the target's own token: the draft's first choice behind all candidates, and its other choices from the second on. */
  readonly hitsByRank: readonly number[];
}

/** Counts what was prepared for verifications, as they end. */
export class AheadCounter {
  #verifications = 0;
  #hits = 0;
  #outcomes = 0;
  #preparedTokens = 0;
  #takenTokens = 0;
  readonly #hitsByRank: number[] = [];

  /** @param taken what was prepared for the outcome that came, as far as the sequence can still use it */
  count(
    prepared: readonly { readonly ids: readonly number[] }[],
    taken: { readonly rank: number; readonly numTokens: number } | null,
  ): void {
    this.#verifications += 1;
    this.#outcomes += prepared.length;
    for (const { ids } of prepared) this.#preparedTokens += ids.length;
    if (!taken || taken.numTokens === 0) return;
    this.#hits += 1;
    this.#takenTokens += taken.numTokens;
    this.#hitsByRank[taken.rank] = (this.#hitsByRank[taken.rank] ?? 0) + 1;
  }

  /** Null where nothing was ever prepared. */
  report(): AheadReport | null {
    if (this.#outcomes === 0) return null;
    return {
      ...{ verifications: this.#verifications, hits: this.#hits, outcomes: this.#outcomes },
      ...{ preparedTokens: this.#preparedTokens, takenTokens: this.#takenTokens },
      hitsByRank: Array.from(this.#hitsByRank, (hits) => hits ?? 0),
    };
  }
}
