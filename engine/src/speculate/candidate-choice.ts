/**
 * How many candidates a round proposes, from what the run itself has seen: the number with the most expected tokens per
 * second, which may be none. While times are learnt, all batches in flight get the same, since they share the lanes; then
 * each the one of those known that suits its own acceptance best. Texts do not depend on it.
 * Source: Cascade, arXiv 2506.20675.
 */

import { largest, sum } from '../extremes.js';
import { AcceptanceEstimate } from './acceptance-estimate.js';
import { RoundTimes } from './round-times.js';

/** Of the most candidates, those that a run begins with: many of them accepted, a run has few rounds to find out. */
const firstShare = 0.6;
/** What another number has to promise before the present one is left. */
const leastGain = 1.01;
/** What one that was never tried has to. */
const leastPromise = 1.02;
/** And what one has to promise by a batch's own acceptance. */
const leastOwnGain = 1.03;
/** None is tried, too, unless it would have to be so many times better than times let expect at best. */
const doubtOfNone = 2;
/** With fewer rounds left, nothing is tried any more. */
const fewestRounds = 6;
/** Rounds without candidates before acceptance is looked at again, which may have changed; twice as many each time. */
const firstPause = 32;

/** Of a batch. */
interface TokensLeft {
  readonly count: number;
  readonly mean: number;
  readonly most: number;
}

/**
 * How far the last of so many is behind the mean, in standard deviations: of normal ones it would be half as much again, but
 * rounds with few sequences left take less than those with all.
 */
function spreadsOfLast(count: number): number {
  return Math.sqrt(0.5 * Math.log(count));
}

export class CandidateChooser {
  readonly #most: number;
  /** Of all batches together. */
  readonly #acceptance = new AcceptanceEstimate();
  readonly #ofBatch = new Map<number, AcceptanceEstimate>();
  readonly #times: RoundTimes;
  /** Rounds by number of candidates. */
  readonly #rounds: number[] = [];
  /** By batch, what its present round was given. */
  readonly #given = new Map<number, number>();
  #present: number;
  #stoppedSeconds: number | null = null;
  readonly #now: () => number;
  readonly #onStop: (seconds: number) => void;
  /** Since the present number was chosen. */
  #roundsSince = 0;
  #timedSince = 0;
  #pause = firstPause;
  #isLooking = false;

  /**
   * @param most of a round
   * @param now seconds, on the clock of the machine that runs
   * @param onStop told when proposing is found not to pay, the first time
   */
  constructor(most: number, now: () => number, onStop: (seconds: number) => void = () => {}) {
    this.#most = most;
    this.#now = now;
    this.#onStop = onStop;
    this.#present = Math.ceil(firstShare * most);
    this.#times = new RoundTimes(now);
  }

  /** Rounds of batches, by number of candidates. */
  get rounds(): readonly number[] {
    return Array.from({ length: this.#most + 1 }, (_, candidates) => this.#rounds[candidates] ?? 0);
  }

  /** When proposing was first found not to pay, by measured times with and without; null: never. */
  get stoppedSeconds(): number | null {
    return this.#stoppedSeconds;
  }

  /** Other sequences are in flight from here on: nobody has proposed for them yet. */
  beginWave(): void {
    this.#given.clear();
    this.#ofBatch.clear();
    this.#times.beginWave();
  }

  /**
   * Candidates for a batch's next round.
   * @param left new tokens that each of its sequences still wants, of those that want any
   */
  choose(batch: number, left: readonly number[]): number {
    const tokensLeft = { count: left.length, mean: sum(left) / left.length, most: largest(left) };
    this.#reconsider(tokensLeft);
    const candidates = this.#ownOf(batch, tokensLeft);
    this.#given.set(batch, candidates);
    this.#times.beginProposing(batch, candidates);
    return candidates;
  }

  /** What was chosen for a batch's present round. */
  given(batch: number): number {
    return this.#given.get(batch) ?? 0;
  }

  endProposing(batch: number): void {
    this.#times.endProposing(batch, this.given(batch));
  }

  /**
   * Of one sequence's verification: candidates that it had room for, that were proposed, and that stood.
   * @param found tokens of alternates behind those that stood
   */
  judge(batch: number, wanted: number, proposed: number, accepted: number, found: number): void {
    this.#acceptance.count(wanted, proposed, accepted, found);
    const own = this.#ofBatch.get(batch) ?? new AcceptanceEstimate(this.#acceptance);
    this.#ofBatch.set(batch, own);
    own.count(wanted, proposed, accepted, found);
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

  /** The present number, or a known one that is better by what has been seen of this batch. */
  #ownOf(batch: number, left: TokensLeft): number {
    const own = this.#ofBatch.get(batch);
    const isAlone = this.#given.size < 2;
    if (isAlone || !own || this.#isLooking || this.#timedSince === 0) return this.#present;
    return this.#best(left, false, own, leastOwnGain);
  }

  #reconsider(left: TokensLeft): void {
    if (!this.#isSettled()) return;
    const next = this.#next(left);
    if (next === 0 && this.#times.isKnown(0) && this.#stoppedSeconds === null) {
      this.#stoppedSeconds = this.#now();
      this.#onStop(this.#stoppedSeconds);
    }
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

  #next(left: TokensLeft): number {
    const mayTry = left.most >= fewestRounds * this.#acceptance.tokensOf(this.#present).mean;
    this.#isLooking = false;
    const best = this.#best(left, mayTry);
    if (mayTry && !this.#times.isKnown(0) && this.#mayNonePay(left, best)) return 0;
    if (best > 0 || this.#present > 0) return best;
    if (!mayTry || this.#roundsSince < this.#pause) return 0;
    this.#pause *= 2;
    this.#isLooking = true;
    return 1;
  }

  /** Where acceptance is good, more are tried before none: what they take tells whether none could be better at all. */
  #mayNonePay(left: TokensLeft, best: number): boolean {
    const least = this.#times.leastSecondsOfNone();
    if (least === null) return best <= this.#present;
    return (left.most * least) / doubtOfNone < this.#secondsLeft(left, best);
  }

  #best(left: TokensLeft, mayTry: boolean, acceptance = this.#acceptance, gain = leastGain): number {
    let best = this.#present;
    let seconds = this.#secondsLeft(left, best, acceptance) / gain;
    for (let candidates = 0; candidates <= this.#most; candidates += 1) {
      const isKnown = this.#times.isKnown(candidates);
      if (candidates === this.#present || (!isKnown && !mayTry)) continue;
      const other =
        this.#secondsLeft(left, candidates, acceptance) * (isKnown ? 1 : leastPromise / leastGain);
      if (other < seconds) [best, seconds] = [candidates, other];
    }
    return best;
  }

  /**
   * Until the last of a batch's sequences is through, which the others wait for: more candidates make the luck of sequences
   * differ more.
   */
  #secondsLeft({ count, mean, most }: TokensLeft, candidates: number, acceptance = this.#acceptance): number {
    const tokens = acceptance.tokensOf(candidates);
    const spread = Math.sqrt((mean * tokens.variance) / tokens.mean ** 3);
    const rounds = Math.max(most / tokens.mean, mean / tokens.mean + spreadsOfLast(count) * spread);
    return rounds * this.#times.secondsOf(candidates);
  }
}
