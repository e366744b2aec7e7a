/** What becomes of the target's choices: which candidates stand, what sequences keep of them, and how often it goes well. */

import { countTokens, type Feed, type Frame } from '../schedule/feeds.js';
import type { HeadResult } from '../schedule/ops.js';
import { acceptDrawn, countAccepted, type DrawnCandidates } from '../speculate/accept.js';
import type { Alternate } from '../speculate/alternates.js';
import type { CandidateChooser } from '../speculate/candidate-choice.js';
import { noiseKey, uniformOf } from '../speculate/noise.js';
import type { Sampling } from '../speculate/sampling.js';
import type { PreparedOutcome, Sequence, SequenceEnds, TargetChoice } from '../speculate/sequence.js';
import { AcceptanceCounter } from '../speculate/statistics.js';

export interface KeeperOptions {
  readonly sampling: Sampling | null;
  readonly ends: SequenceEnds;
  readonly chooser?: CandidateChooser | null;
  /** Told that a sequence is so many tokens long: what was proposed behind them is no part of it. */
  readonly forget: (sequence: Sequence, length: number) => void;
  /** Told what became of a sequence's candidates and of what was prepared meanwhile, while it still has both. */
  readonly onOutcome?: (sequence: Sequence, accepted: number, taken: PreparedOutcome | null) => void;
}

export class Keeper {
  readonly acceptance = new AcceptanceCounter();
  readonly #options: KeeperOptions;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Keeps the first new token of every prompt. */
  keepPrompts({ feeds, headRows }: Frame, result: HeadResult): void {
    for (const [feed, { sequence, count }] of feeds.entries()) {
      sequence.targetCached = sequence.length;
      sequence.append([choiceBehind(result, feed, headRows[feed], count)], this.#options.ends);
    }
  }

  /** Of the frames of a pass, in its order. */
  keepAll(frames: readonly Frame[], results: readonly HeadResult[]): void {
    for (const [index, result] of results.entries()) this.keepVerified(frames[index], result);
  }

  keepVerified({ batch, feeds, headRows }: Frame, result: HeadResult): void {
    const { chooser } = this.#options;
    let first = 0;
    for (const feed of feeds) {
      const { sequence, alternates } = feed;
      const { length } = sequence.candidates;
      const wanted = chooser && Math.min(chooser.given(batch), sequence.remaining - 1);
      const { accepted, found } = this.#accept(feed, result, headRows, first);
      chooser?.judge(batch, wanted as number, length, accepted, found);
      first += length + 1 + countTokens(alternates);
    }
  }

  /**
   * Keeps what the target confirms of a sequence's candidates and its own token, and cuts both caches back to it.
   * @param first the first of the sequence's wanted rows
   * @returns how many candidates stand, and tokens of alternates behind them
   */
  #accept(
    { sequence, count, alternates }: Feed,
    result: HeadResult,
    headRows: Int32Array,
    first: number,
  ): { readonly accepted: number; readonly found: number } {
    const { candidates } = sequence;
    const drawn = this.#judgeDrawn(sequence, result, first);
    const accepted = drawn ? drawn.accepted : countAccepted(candidates, result.ids, first);
    // All of a prompt came before, where a sequence has just taken a place.
    const known = sequence.choices.length === 0 ? count - candidates.length : 1;
    const choices = choicesFrom(result, first, headRows, known, accepted);
    if (drawn)
      for (const [index, choice] of choices.entries()) {
        const id = index < accepted ? candidates[index] : (drawn.replacement ?? choice.id);
        choices[index] = { ...choice, id };
      }
    const before = sequence.choices.length;
    // The target's own token has not been fed to either model yet, nor has an alternate at its place in their caches.
    const cached = sequence.length + accepted;
    const others =
      alternates.length === 0
        ? noChoices
        : choicesBehind(
            alternates,
            accepted,
            choices[accepted].id,
            choicesOf(result, headRows, first + candidates.length + 1),
          );
    sequence.append(others.length > 0 ? [...choices, ...others] : choices, this.#options.ends);
    this.#take(sequence, accepted, choices[accepted].id, others.length > 0 ? cached : null);
    sequence.targetCached = Math.min(cached, sequence.length - 1);
    this.acceptance.count(candidates.length, accepted, sequence.choices.length - before);
    this.acceptance.countAlternates(countTokens(alternates), others.length);
    return { accepted, found: others.length };
  }

  /**
   * Makes what was prepared for this outcome the candidates of the next round, if anything was.
   * @param cached tokens that caches hold where more than the target's own came behind them; else null
   */
  #take(sequence: Sequence, accepted: number, token: number, cached: number | null): void {
    const { prepared } = sequence;
    const taken = cached === null && prepared.length > 0 ? outcomeOf(prepared, accepted, token) : undefined;
    const wanted = Math.max(0, sequence.remaining - 1);
    this.#options.onOutcome?.(sequence, accepted, taken ?? null);
    sequence.candidates = taken?.ids.slice(0, wanted) ?? nothing;
    sequence.alternates = null;
    sequence.candidateShares = taken?.shares?.slice(0, wanted) ?? null;
    sequence.candidateLeaders = taken?.leaders?.slice(0, wanted) ?? null;
    sequence.prepared = nothingPrepared;
    if (!taken?.isCached) this.#options.forget(sequence, cached ?? sequence.length - 1);
  }

  /** Under the rejection rule: how many of the candidates stand, and what replaces the first that does not. */
  #judgeDrawn(sequence: Sequence, { shares }: HeadResult, first: number) {
    const { sampling } = this.#options;
    if (!shares || sampling?.rule !== 'rejection') return null;
    const { candidates, candidateShares: draft } = sequence;
    return acceptDrawn({ candidates, draft, target: shares, first, coins: coinsOf(sequence, sampling) });
  }
}

function coinsOf({ noise, length }: Sequence, { seed }: Sampling): DrawnCandidates['coins'] {
  return (place) => {
    const [one, other] = noiseKey(seed, noise, length + place, 'coins');
    return [uniformOf(one), uniformOf(other)];
  };
}

function outcomeOf(
  prepared: readonly PreparedOutcome[],
  accepted: number,
  token: number,
): PreparedOutcome | undefined {
  return prepared.find((outcome) => outcome.accepted === accepted && outcome.token === token);
}

const nothingPrepared: readonly PreparedOutcome[] = [];
const nothing: readonly number[] = [];

/** What the target chooses in a prediction, where nothing is computed. */
const imagined: TargetChoice = {
  id: 0,
  margin: Number.POSITIVE_INFINITY,
  routerMargin: Number.POSITIVE_INFINITY,
};

/** By their number. */
const runsOfImagined: TargetChoice[][] = [];

/** What is chosen behind what was known, and behind each candidate that stands. */
function choicesFrom(
  result: HeadResult,
  first: number,
  headRows: Int32Array,
  known: number,
  accepted: number,
): TargetChoice[] {
  if (isImagined(result)) {
    runsOfImagined[accepted] ??= new Array<TargetChoice>(accepted + 1).fill(imagined);
    return runsOfImagined[accepted];
  }
  const choices = new Array<TargetChoice>(accepted + 1);
  choices[0] = choiceBehind(result, first, headRows[first], known);
  for (let index = 1; index <= accepted; index += 1)
    choices[index] = choiceAt(result, first + index, headRows[first + index]);
  return choices;
}

/** A prediction computes no choices; one shared object saves it tens of thousands of equal ones. */
function isImagined({ margins }: HeadResult): boolean {
  return margins.length === 0;
}

const noChoices: readonly TargetChoice[] = [];

/** Of the rows from `first` on. */
function choicesOf(result: HeadResult, headRows: Int32Array, first: number): (row: number) => TargetChoice {
  return (row) => choiceAt(result, first + row, headRows[first + row]);
}

/**
 * What the target chooses behind its own token, where that is an alternate's, and behind what follows there as far as it
 * stands.
 * @param choiceOf a row of the alternates, counted from the first of them
 */
function choicesBehind(
  alternates: readonly Alternate[],
  place: number,
  id: number,
  choiceOf: (row: number) => TargetChoice,
): TargetChoice[] {
  let row = 0;
  for (const { place: own, ids } of alternates) {
    if (own === place && ids[0] === id) {
      const choices = [choiceOf(row)];
      while (choices.length < ids.length && ids[choices.length] === choices[choices.length - 1].id)
        choices.push(choiceOf(row + choices.length));
      return choices;
    }
    row += ids.length;
  }
  return [];
}

/**
 * What is chosen behind so many rows: the first choice depends on the whole prompt, and so on the closest routing
 * decision in any of its rows.
 */
function choiceBehind(result: HeadResult, index: number, row: number, numRows: number): TargetChoice {
  const last = choiceAt(result, index, row);
  if (numRows === 1 || isImagined(result)) return last;
  const margins = result.routerMargins.subarray(row + 1 - numRows, row + 1);
  const routerMargin = margins.reduce((least, margin) => Math.min(least, margin), last.routerMargin);
  return routerMargin < last.routerMargin ? { ...last, routerMargin } : last;
}

function choiceAt(result: HeadResult, index: number, row: number): TargetChoice {
  if (isImagined(result)) return imagined;
  const { ids, margins, routerMargins } = result;
  return { id: ids[index], margin: margins[index], routerMargin: routerMargins[row] };
}
