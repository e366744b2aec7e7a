/** Where a prediction takes its acceptance from: rates by position, or what a draft really got right. */

import { check, is, UserError } from '@specoffload/input';
import { createRandom, createRandomTable, type Random } from '../model/random.js';
import { imagineRouting, type RoutingDraws } from './imagined-routing.js';

/** Most tokens to propose per round; on no machine do more of them pay. */
export const mostCandidates = 64;

/** More new tokens than any model's context holds. */
const mostNewTokens = 1 << 20;

/** Stands in for what a prediction does not compute: which candidates are right, and which experts are chosen. */
export interface Oracle {
  /** Whether the candidate `step` places after new token `position` of a sequence would be what the target chooses. */
  accepts(sequence: number, position: number, step: number): boolean;
  /** Of a token that is not the draft's own choice after new token `position`: which of its other choices, from 1 on, it is; left out: none. */
  rankOf?(sequence: number, position: number): number;
  /** Whether so many alternates of a round with so many candidates have one where, after new token `position`, a candidate falls; left out: always. */
  findsDoubt?(sequence: number, position: number, alternates: number, candidates: number): boolean;
  /** How many candidates there would be after new token `position` of a sequence, at most; left out: as many as wanted. */
  proposes?(sequence: number, position: number): number;
  /** How many of `rows` choose each of the experts. */
  chooseExperts(rows: number, numExperts: number, expertsPerToken: number, layer: number): readonly number[];
  /** Which of the experts are foreseen, so many layers before, to be chosen in the layer, some of them wrongly. */
  foreseeExperts(
    rows: number,
    numExperts: number,
    expertsPerToken: number,
    layer: number,
    distance: number,
  ): readonly number[];
}

/** The chance that a candidate stands, given that all before it do, by its place in the round (0-based). */
export interface AcceptanceRates {
  readonly kind: 'rates';
  readonly name: string;
  readonly byPosition: readonly number[];
  /** The chance that the draft's second choice is the target's token where its first is not. @default {@link nextChoice} */
  readonly secondChoice?: number | undefined;
}

/**
 * What a draft gets right of known texts: for every sequence, and every number of new tokens that it may already
 * have, how many candidates from there on are what the target chose. Independent of schedule and candidates, because
 * a draft that knows all tokens so far proposes the same whatever came before.
 */
export interface AcceptanceTrace {
  readonly kind: 'recorded';
  readonly name: string;
  /** Longest stretch that was tried; a larger number of candidates can't be answered. */
  readonly candidates: number;
  /** New tokens that were asked for; a sequence that has fewer ended by itself. */
  readonly newTokens: number;
  /** (sequence, new token) */
  readonly sequences: readonly (readonly number[])[];
  /** (sequence, new token): how many were proposed there, where that is not always what was wanted. */
  readonly proposed?: readonly (readonly number[])[] | undefined;
  /** (sequence, new token): which of the draft's choices it is, 0 its first and 2 none of the first two; for alternates. */
  readonly ranks?: readonly (readonly number[])[] | undefined;
}

export type Acceptance = AcceptanceRates | AcceptanceTrace;

const name = is.orMissing(is.anyText);

type Counts = readonly (readonly number[])[];

const counts = is.listOf(is.listOf(is.wholeFrom(0, mostCandidates)));

/** Whether other counts of the same tokens are as many, and each agrees with how many candidates stand there. */
function match(
  others: Counts | undefined,
  sequences: Counts,
  agrees: (other: number, run: number) => boolean = () => true,
): boolean {
  if (others === undefined) return true;
  const areAlike = (other: readonly number[], runs: readonly number[]) =>
    other.length === runs.length && runs.every((run, token) => agrees(other[token], run));
  return (
    others.length === sequences.length && sequences.every((runs, index) => areAlike(others[index], runs))
  );
}

const runs = is.that(
  is.picked({
    kind: is.oneOf(['recorded']),
    name,
    candidates: is.wholeFrom(1, mostCandidates),
    newTokens: is.wholeFrom(1, mostNewTokens),
    sequences: is.listOf(is.listOf(is.wholeFrom(0, mostCandidates)), {
      least: 1,
      expected: 'a list of sequences',
    }),
    proposed: is.orMissing(counts),
    ranks: is.orMissing(is.listOf(is.listOf(is.wholeFrom(0, 2)))),
  }),
  ({ candidates, newTokens, sequences }) =>
    sequences.every((runs) => runs.length <= newTokens && runs.every((run) => run <= candidates)),
  ({ candidates, newTokens }) =>
    `lists of at most ${newTokens} numbers of at most ${candidates}, the new tokens and the candidates that were tried`,
  'sequences',
);

const alike = 'as many lists of as many numbers as sequences has';

const recorded = is.that(
  is.that(
    runs,
    ({ proposed, sequences, candidates }) =>
      match(proposed, sequences, (number, run) => run <= number && number <= candidates),
    `${alike}, each from as many as stand to the candidates that were tried`,
    'proposed',
  ),
  ({ ranks, sequences }) => match(ranks, sequences),
  alike,
  'ranks',
);

const file = is.variant('kind', {
  rates: is.picked({
    kind: is.oneOf(['rates']),
    name,
    byPosition: is.listOf(is.numberFrom(0, 1), {
      least: 1,
      most: mostCandidates,
      expected: `a list of 1 to ${mostCandidates} rates`,
    }),
    secondChoice: is.orMissing(is.numberFrom(0, 1)),
  }),
  recorded,
});

/**
 * Parses an acceptance file.
 * @throws UserError naming source, field and what was expected.
 */
export function parseAcceptance(json: unknown, source: string): Acceptance {
  const { name = source, ...others } = check(file, json, source, { remedy: 'correct the acceptance file' });
  return { ...others, name };
}

/** What an acceptance must be able to answer. */
export interface AcceptanceDemand {
  readonly candidates: number;
  readonly sequences: number;
  readonly newTokens: number;
}

/** @throws UserError when the acceptance was recorded for less than a run asks. */
export function assertAnswers(acceptance: Acceptance, demand: AcceptanceDemand): void {
  const { name } = acceptance;
  const refuse = (has: string, needs: string, remedy: string): never => {
    throw new UserError(
      `the acceptance ${name} does not match this run: it has ${has}, the run needs ${needs}; ${remedy}`,
    );
  };
  if (acceptance.kind === 'rates') {
    if (acceptance.byPosition.length > 1 && acceptance.byPosition.length < demand.candidates)
      refuse(
        `${acceptance.byPosition.length} positions`,
        `${demand.candidates} candidates`,
        'give a rate for each position, one rate for all, or fewer candidates',
      );
    return;
  }
  const { candidates, newTokens, sequences } = acceptance;
  if (candidates < demand.candidates)
    refuse(`${candidates} candidates`, `${demand.candidates}`, 'record it again with more candidates');
  if (sequences.length < demand.sequences)
    refuse(`${sequences.length} sequences`, `${demand.sequences}`, 'record it on the same prompts');
  if (newTokens < demand.newTokens)
    refuse(`${newTokens} new tokens`, `${demand.newTokens}`, 'record it with as many new tokens');
}

/** The chance that the target's token is the draft's next choice, where it is none of those before; assumed. */
export const nextChoice = 0.4;

/** The chance that it is its second, where it is not its first. */
export function secondChoiceOf(acceptance: Acceptance): number {
  if (acceptance.kind === 'rates') return acceptance.secondChoice ?? nextChoice;
  const others = acceptance.ranks?.flat().filter((rank) => rank > 0) ?? [];
  return others.length === 0 ? nextChoice : others.filter((rank) => rank === 1).length / others.length;
}

function recordedRank(acceptance: Acceptance, sequence: number, position: number): number | undefined {
  return acceptance.kind === 'recorded' ? acceptance.ranks?.[sequence]?.[position] : undefined;
}

/**
 * @param coin uniform in [0, 1)
 * @param second as {@link secondChoiceOf}
 */
function rankFor(coin: number, second: number): number {
  if (coin < second) return 1;
  return 2 + Math.floor((Math.log(1 - coin) - Math.log(1 - second)) / Math.log(1 - nextChoice));
}

/**
 * Of the rounds in which a candidate falls, those in which it is none of those where one more alternate than before is put;
 * on the shipped pair, 1 to 4 of 8 find 0.37, 0.70, 0.83 and 0.95.
 */
const missedByOne = 0.55;

/** The chance that the place where a candidate falls is among the `alternates` of which a draft is least sure. */
export function chanceOfDoubt(alternates: number, candidates: number): number {
  return alternates < candidates ? 1 - missedByOne ** alternates : 1;
}

/** Draws what a run would have computed, from one stream of random numbers. */
export function createOracle(acceptance: Acceptance, random: Random, draws: RoutingDraws = {}): Oracle {
  const proposed = acceptance.kind === 'recorded' ? acceptance.proposed : undefined;
  const second = secondChoiceOf(acceptance);
  return {
    ...(proposed
      ? { proposes: (sequence, position) => proposed[sequence]?.[position] ?? Number.POSITIVE_INFINITY }
      : {}),
    accepts:
      acceptance.kind === 'recorded'
        ? (sequence, position, step) => step < (acceptance.sequences[sequence]?.[position] ?? 0)
        : (_sequence, _position, step) => random.uniform() < rateAt(acceptance, step),
    rankOf: (sequence, position) =>
      recordedRank(acceptance, sequence, position) ?? rankFor(random.uniform(), second),
    findsDoubt: (_sequence, _position, alternates, candidates) =>
      alternates >= candidates || random.uniform() < chanceOfDoubt(alternates, candidates),
    ...imagineRouting(random, draws),
  };
}

/**
 * As `createOracle`, with draws that belong to the texts: whether a draft is right about a token is settled by seed,
 * sequence and place of the token alone. Policies that are compared on one seed then meet the same texts, whatever the
 * order and number of their rounds. A run decides about each place once, so alone it is predicted as with `createOracle`.
 */
export function createCommonOracle(acceptance: Acceptance, seed: number, draws: RoutingDraws = {}): Oracle {
  const luck = createRandomTable(seed, 'acceptance');
  const rankLuck = createRandomTable(seed, 'ranks');
  const doubtLuck = createRandomTable(seed, 'doubts');
  const second = secondChoiceOf(acceptance);
  return {
    ...createOracle(acceptance, createRandom(seed, 'routing'), draws),
    rankOf: (sequence, position) =>
      recordedRank(acceptance, sequence, position) ?? rankFor(rankLuck(sequence, position), second),
    findsDoubt: (sequence, position, alternates, candidates) =>
      doubtLuck(sequence, position) < chanceOfDoubt(alternates, candidates),
    ...(acceptance.kind === 'rates'
      ? { accepts: (sequence, position, step) => luck(sequence, position + step) < rateAt(acceptance, step) }
      : {}),
  };
}

/** A single rate holds for every position. */
function rateAt({ byPosition }: AcceptanceRates, step: number): number {
  return byPosition[Math.min(step, byPosition.length - 1)];
}

/**
 * Tokens that a round of `candidates` brings on average: 1 + p1 + p1 p2 + …
 *
 * With one rate p: (1 - p^(c + 1)) / (1 - p), Leviathan et al., arXiv 2211.17192, equation 1. The released planner
 * leaves out the rounds in which everything is accepted (see `releasedExpectedTokens`).
 *
 * Alternates add what stands of them where a candidate falls, they are in its place and begin with what the target chooses.
 */
export function expectedTokens(
  rates: AcceptanceRates,
  candidates: number,
  alternates = 0,
  alternateTokens = 1,
): number {
  let expected = 1;
  let chance = 1;
  for (let step = 0; step < candidates; step += 1) {
    chance *= rateAt(rates, step);
    expected += chance;
  }
  const found = (1 - chance) * secondChoiceOf(rates) * chanceOfDoubt(alternates, candidates);
  return found === 0 ? expected : expected + found * expectedTokens(rates, alternateTokens - 1);
}

/**
 * The released planner's value: 1 + sum of k p^k (1 - p) for k up to c. It leaves out the rounds in which all c candidates
 * are accepted. Source: `benchmarks/planner.py` of github.com/MobiSense/SpecOffload-public at b8b68c9.
 */
export function releasedExpectedTokens(rate: number, candidates: number): number {
  let expected = 1;
  for (let k = 1; k <= candidates; k += 1) expected += k * rate ** k * (1 - rate);
  return expected;
}

/** Rates by position as a recorded trace has them on average: accepted among those whose predecessors stood. */
export function averageRates(trace: AcceptanceTrace): AcceptanceRates {
  const { name, candidates, sequences } = trace;
  const runs = sequences.flat();
  const byPosition = Array.from({ length: candidates }, (_, step) => {
    const tried = runs.filter((run) => run >= step).length;
    return tried === 0 ? 0 : runs.filter((run) => run > step).length / tried;
  });
  const secondChoice = trace.ranks ? { secondChoice: secondChoiceOf(trace) } : {};
  return { kind: 'rates', name, byPosition, ...secondChoice };
}
