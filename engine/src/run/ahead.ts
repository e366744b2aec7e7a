/** Drafting for several outcomes while a pass verifies: one after the other until the pass ends, and what came of it. */

import type { Drafting, PrepareRound } from '../schedule/drafter.js';
import type { Task } from '../schedule/task.js';
import { OutcomeOdds } from '../speculate/outcome-odds.js';
import type { PreparedOutcome, Sequence } from '../speculate/sequence.js';
import { AheadCounter, type AheadReport } from '../speculate/statistics.js';

export class Ahead {
  readonly #odds = new OutcomeOdds();
  readonly #counter = new AheadCounter();
  /** The pass that the latest round goes with is through. */
  #isOver = false;

  /** @param runToEnd until the last of the tasks has ended */
  async prepare(
    drafting: Drafting | null,
    round: Omit<PrepareRound, 'odds' | 'isOver'>,
    runToEnd: (tasks: readonly Task[]) => Promise<void>,
  ): Promise<void> {
    this.#isOver = false;
    if (round.candidates === 0) return;
    const preparation = drafting?.prepare?.({ ...round, odds: this.#odds, isOver: () => this.#isOver });
    let tasks = preparation?.looks ?? [];
    while (tasks.length > 0) {
      await runToEnd(tasks);
      tasks = (!this.#isOver && preparation?.next()) || [];
    }
  }

  /** The pass is through: what has not begun is not prepared any more. */
  end(): void {
    this.#isOver = true;
  }

  /** A verification has ended; the sequence still has what was verified and prepared. */
  count(
    { candidates, prepared, remaining }: Sequence,
    accepted: number,
    taken: PreparedOutcome | null,
  ): void {
    const isFirst = taken?.rank === 0;
    const others = prepared.length === 0 ? 0 : countOthers(prepared, accepted);
    const rank = isFirst ? null : (taken?.rank ?? null);
    this.#odds.count(candidates.length, accepted, isFirst ? 0 : others, rank);
    if (remaining < 2) return;
    const numTokens = Math.min(taken?.ids.length ?? 0, remaining - 1);
    this.#counter.count(prepared, taken && { rank: taken.rank, numTokens });
  }

  /** Null where nothing was prepared. */
  report(): AheadReport | null {
    return this.#counter.report();
  }
}

/** Of the draft's other choices behind so many candidates, those that something was prepared for. */
function countOthers(prepared: readonly PreparedOutcome[], accepted: number): number {
  return prepared.filter((outcome) => outcome.accepted === accepted && outcome.rank > 0).length;
}
