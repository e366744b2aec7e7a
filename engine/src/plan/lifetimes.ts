/** How sequences get through their rounds on average: who is still there, and how much each sends through. */

import {
  type Acceptance,
  type AcceptanceRates,
  averageRates,
  chanceOfDoubt,
  nextChoice,
  secondChoiceOf,
} from '../speculate/acceptance.js';
import { listOutcomes } from '../speculate/outcome-odds.js';

/** One round, per sequence that the batch began with. */
export interface LifetimeRound {
  /** Share of the sequences that are not finished. */
  readonly alive: number;
  /** Chance that a single sequence is still there; with `ending: slowest` below `alive`. */
  readonly unfinished: number;
  /** Tokens that the target is fed: candidates and the last known one. */
  readonly rows: number;
  /** New tokens so far, of those that are not finished. */
  readonly tokens: number;
  /** Share of the sequences that want at least so many candidates and one more; empty without speculation. */
  readonly wanting: readonly number[];
}

export interface LifetimeOptions {
  /** 0 without speculation. */
  readonly candidates: number;
  readonly alternates: number;
  readonly alternateTokens: number;
  readonly maxNewTokens: number;
  readonly acceptance: Acceptance | null;
  /** Candidates are never cut to what a sequence still needs, and all go on until the last is there. */
  readonly goesOn: boolean;
  /** Sequences that end together, with `goesOn`. */
  readonly together: number;
}

/** Rounds that fewer sequences than this share still need are not looked at. */
const leastAlive = 1e-7;

/**
 * The chain of a sequence's remaining tokens: from r, a round of w = min(candidates, r - 1) proposals leads to
 * r - 1 - a with the chance that exactly a of them are accepted, and one further where an alternate is what the target
 * chooses behind them. The first new token comes from prefill.
 */
export function lifetimes(options: LifetimeOptions): readonly LifetimeRound[] {
  const { candidates, alternates, alternateTokens, maxNewTokens, acceptance, goesOn, together } = options;
  const key = [candidates, alternates, alternateTokens, maxNewTokens, goesOn, goesOn ? together : 0].join();
  const ofAcceptance = known.get(acceptance ?? nobody) ?? new Map<string, LifetimeRound[]>();
  known.set(acceptance ?? nobody, ofAcceptance);
  const rounds = ofAcceptance.get(key) ?? roundsOf(options);
  ofAcceptance.set(key, rounds);
  return rounds;
}

const nobody = {};
/** A planner asks for the same ones hundreds of times. */
const known = new WeakMap<object, Map<string, LifetimeRound[]>>();

function roundsOf(options: LifetimeOptions): LifetimeRound[] {
  const { candidates, alternates, alternateTokens, maxNewTokens, acceptance, goesOn, together } = options;
  const second = acceptance && alternates > 0 ? secondChoiceOf(acceptance) : 0;
  const rates = acceptance && toRates(acceptance);
  let chances = new Float64Array(maxNewTokens + 1);
  chances[maxNewTokens - 1] = 1;
  const rounds: LifetimeRound[] = [];
  for (;;) {
    let unfinished = 0;
    let rows = 0;
    let tokens = 0;
    const wanting = new Array<number>(candidates).fill(0);
    const next = new Float64Array(maxNewTokens + 1);
    next[0] = chances[0];
    for (let left = 1; left <= maxNewTokens; left += 1) {
      const chance = chances[left];
      if (chance === 0) continue;
      const wanted = goesOn ? candidates : Math.min(candidates, left - 1);
      unfinished += chance;
      const found = second * chanceOfDoubt(alternates, wanted);
      rows += chance * (wanted + 1 + Math.min(alternates, wanted) * alternateTokens);
      tokens += chance * (maxNewTokens - left);
      for (let step = 0; step < wanted; step += 1) wanting[step] += chance;
      let stood = chance;
      for (let step = 0; step < wanted; step += 1) {
        const rate = rates ? rateAt(rates, step) : 0;
        const fell = stood * (1 - rate);
        next[Math.max(0, left - 1 - step)] += fell * (1 - found);
        let goes = fell * found;
        for (let further = 1; further < alternateTokens && goes > 0; further += 1) {
          const follows = rates ? rateAt(rates, further - 1) : 0;
          next[Math.max(0, left - 1 - step - further)] += goes * (1 - follows);
          rows += goes;
          goes *= follows;
        }
        next[Math.max(0, left - 1 - step - alternateTokens)] += goes;
        // What was found is fed again in the next round.
        rows += goes;
        stood *= rate;
      }
      next[Math.max(0, left - 1 - wanted)] += stood;
    }
    const alive = goesOn ? 1 - (1 - unfinished) ** together : unfinished;
    if (alive < leastAlive || rounds.length > maxNewTokens) return rounds;
    const common = { alive, unfinished, tokens: unfinished > 0 ? tokens / unfinished : maxNewTokens };
    rounds.push(
      goesOn
        ? {
            ...common,
            rows: alive * (candidates + 1 + alternates * alternateTokens),
            wanting: wanting.map(() => alive),
          }
        : { ...common, rows, wanting },
    );
    chances = next;
  }
}

/** The chance that all candidates stand and the target's own token is the one that was proposed behind them. */
export function chanceThatAheadHolds(acceptance: Acceptance, candidates: number): number {
  const rates = toRates(acceptance);
  let chance = rateAt(rates, 0);
  for (let step = 0; step < candidates; step += 1) chance *= rateAt(rates, step);
  return chance;
}

/**
 * The same of the likeliest outcomes, by how many of them were prepared for, from none to so many.
 * @param choices of the draft that are known at each place
 */
export function chancesThatPrepared(
  acceptance: Acceptance,
  candidates: number,
  outcomes: number,
  choices: number,
): number[] {
  const rates = toRates(acceptance);
  const byPlace = Array.from({ length: candidates + 1 }, (_, step) => rateAt(rates, step % candidates));
  const chances = [0];
  for (const { chance } of listOutcomes(byPlace, choices, () => nextChoice).slice(0, outcomes))
    chances.push(chances[chances.length - 1] + chance);
  return chances;
}

const ratesOfTraces = new WeakMap<Acceptance, AcceptanceRates>();

function toRates(acceptance: Acceptance): AcceptanceRates {
  if (acceptance.kind === 'rates') return acceptance;
  let rates = ratesOfTraces.get(acceptance);
  if (!rates) {
    rates = averageRates(acceptance);
    ratesOfTraces.set(acceptance, rates);
  }
  return rates;
}

function rateAt({ byPosition }: AcceptanceRates, step: number): number {
  return byPosition[Math.min(step, byPosition.length - 1)];
}
