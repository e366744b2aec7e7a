/**
 * How many candidates a round proposes, from what the run itself has seen: the number with the most expected tokens per
 * second, which may be none. All batches in flight get the same, since they share the lanes. Texts do not depend on it.
 * Source: Cascade, arXiv 2506.20675.
 */

import { AcceptanceEstimate } from './acceptance-estimate.js';
import { RoundTimes } from './round-times.js';

/** What another number has to promise before the present one is left. */
const leastGain = 1.01;
/** What one that was never tried has to. */
const leastPromise = 1.02;
/** None is tried, too, unless it would have to be so many times better than times let expect at best. */
const doubtOfNone = 2;
/** With fewer rounds left, nothing is tried any more. */
const fewestRounds = 6;
/** Rounds without candidates before acceptance is looked at again, which may have changed; twice as many each time. */
const firstPause = 32;

export class CandidateChooser {
  readonly #most: number;
  readonly #acceptance = new AcceptanceEstimate();
  readonly #times: RoundTimes;
  /** Rounds by number of candidates. */
  readonly #rounds: number[] = [];
  /** By batch, what its present round was given. */
  readonly #given = new Map<number, number>();
  #present: number;
  /** Since the present number was chosen. */
  #roundsSince = 0;
  #timedSince = 0;
  #pause = firstPause;
  #isLooking = false;

  /**
   * @param most of a round
   * @param now seconds, on the clock of the machine that runs
   */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#present = Math.ceil(most / 2);
    this.#times = new RoundTimes(now);
  }

  /** Rounds of batches, by number of candidates. */
  get rounds(): readonly number[] {
    return Array.from({ length: this.#most + 1 }, (_, candidates) => this.#rounds[candidates] ?? 0);
  }

  /** Other sequences are in flight from here on: nobody has proposed for them yet. */
  beginWave(): void {
    this.#given.clear();
    this.#times.beginWave();
  }

  /**
   * Candidates for a batch's next round.
   * @param tokensLeft that the longest of its sequences still wants
   */
  choose(batch: number, tokensLeft: number): number {
    this.#reconsider(tokensLeft);
    this.#given.set(batch, this.#present);
    this.#times.beginProposing(batch, this.#present);
    return this.#present;
  }

  /** What was chosen for a batch's present round. */
  given(batch: number): number {
    return this.#given.get(batch) ?? 0;
  }

  endProposing(batch: number): void {
    this.#times.endProposing(batch, this.given(batch));
  }

  /** Of one sequence's verification: candidates that it had room for, that were proposed, and that stood. */
  judge(wanted: number, proposed: number, accepted: number): void {
    this.#acceptance.count(wanted, proposed, accepted);
  }

  /** @param mostVerified candidates of any of the batch's sequences */
  endRound(batch: number, numSequences: number, mostVerified: number): void {
    const candidates = this.given(batch);
    this.#rounds[candidates] = (this.#rounds[candidates] ?? 0) + 1;
    const isTimed = this.#times.endRound(candidates, numSequences, mostVerified <= candidates);
    if (candidates !== this.#present) return;
    this.#roundsSince += 1;
    if (isTimed) this.#timedSince += 1;
  }

  #reconsider(tokensLeft: number): void {
    if (!this.#isSettled()) return;
    const next = this.#next(tokensLeft);
    if (next === this.#present) return;
    this.#present = next;
    this.#roundsSince = 0;
    this.#timedSince = 0;
  }

  /** Whether the present number has shown what it is worth. */
  #isSettled(): boolean {
    if (this.#isLooking) return this.#roundsSince > 0;
    return this.#timedSince > 0 || this.#roundsSince > 2 * (this.#given.size + 1);
  }

  #next(tokensLeft: number): number {
    const mayTry = tokensLeft >= fewestRounds * this.#acceptance.tokensOf(this.#present);
    this.#isLooking = false;
    const best = this.#best(mayTry);
    if (mayTry && !this.#times.isKnown(0) && this.#mayNonePay(best)) return 0;
    if (best > 0 || this.#present > 0) return best;
    if (!mayTry || this.#roundsSince < this.#pause) return 0;
    this.#pause *= 2;
    this.#isLooking = true;
    return 1;
  }

  /** Where acceptance is good, more are tried before none: what they take tells whether none could be better at all. */
  #mayNonePay(best: number): boolean {
    const least = this.#times.leastSecondsOfNone();
    if (least === null) return best <= this.#present;
    return doubtOfNone / least > this.#value(best);
  }

  #best(mayTry: boolean): number {
    let best = this.#present;
    let value = this.#value(best) * leastGain;
    for (let candidates = 0; candidates <= this.#most; candidates += 1) {
      const isKnown = this.#times.isKnown(candidates);
      if (candidates === this.#present || (!isKnown && !mayTry)) continue;
      const other = this.#value(candidates) * (isKnown ? 1 : leastGain / leastPromise);
      if (other > value) [best, value] = [candidates, other];
    }
    return best;
  }

  /** Expected tokens of a sequence per second. */
  #value(candidates: number): number {
    return this.#acceptance.tokensOf(candidates) / this.#times.secondsOf(candidates);
  }
}
