import {
  AcceptanceCounter,
  acceptGreedy,
  chanceByCoupling,
  chanceByRejection,
  createRandom,
  parseSampling,
  type Sampling,
  Sequence,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { acceptDrawn } from '../../engine/dist/speculate/accept.js';
import { drawToken } from '../../engine/dist/speculate/draw-token.js';
import { drawRows } from '../../engine/dist/speculate/row-draws.js';
import { chiSquared, softmax } from './sampling.js';

describe('acceptGreedy', () => {
  it.each<{ candidates: number[]; choices: number[]; accepted: number }>([
    { candidates: [], choices: [5], accepted: 0 },
    { candidates: [5], choices: [5, 6], accepted: 1 },
    { candidates: [5], choices: [6, 5], accepted: 0 },
    { candidates: [1, 2, 3], choices: [1, 2, 3, 4], accepted: 3 },
    { candidates: [1, 2, 3], choices: [1, 2, 9, 4], accepted: 2 },
    { candidates: [1, 2, 3], choices: [9, 2, 3, 4], accepted: 0 }, // what follows a rejection does not count
    { candidates: [1, 2, 3], choices: [1, 9, 3, 4], accepted: 1 },
    { candidates: [0, 0], choices: [0, 0, 0], accepted: 2 },
  ])(
    'accepts $accepted of $candidates when the target says $choices',
    ({ candidates, choices, accepted }) => {
      expect(acceptGreedy(candidates, choices)).toBe(accepted);
    },
  );

  it('wants one choice more than candidates', () => {
    expect(() => acceptGreedy([1, 2], [1, 2])).toThrow('2 candidates need 3 choices, got 2');
  });
});

describe('the chance that a candidate stands', () => {
  const random = createRandom(3, 'rules');
  const vocabSize = 12;
  const draws = 20_000;

  /** Two distributions that are alike, and how often each rule agrees in so many draws. */
  function draw(difference: number) {
    const logits = Float32Array.from({ length: vocabSize }, () => 2 * random.normal());
    const other = logits.map((logit) => logit + difference * random.normal());
    // Masks leave out different tokens of both.
    logits[3] = -60;
    other[7] = -60;
    const [target, draft] = [softmax(logits), softmax(other)];
    let [coupled, accepted] = [0, 0];
    const counts = new Array<number>(vocabSize).fill(0);
    for (let noise = 0; noise < draws; noise += 1) {
      const rows = drawRows(drawn, [{ noise, numTokens: 1, numRows: 1, tokens: () => [] }]);
      const candidate = drawToken(other, rows, 0).id;
      if (drawToken(logits, rows, 0).id === candidate) coupled += 1;
      const outcome = judge(candidate, draft, target, [random.uniform(), random.uniform()]);
      if (outcome.accepted) accepted += 1;
      counts[outcome.token]! += 1;
    }
    return { target, draft, counts, coupled: coupled / draws, accepted: accepted / draws };
  }
  const drawn = parseSampling({ temperature: 1, seed: 2 }) as Sampling;

  it('is certain of candidates that nobody drew, and ends at the first that falls', () => {
    const target = [0.5, 0.5, 0].map(() => withShare(Float64Array.of(0.5, 0.5, 0)));
    const judge = (candidates: readonly number[], coin: number) =>
      acceptDrawn({ candidates, draft: null, target, first: 0, coins: () => [coin, 0.9] });
    expect(judge([0, 1], 0.49)).toEqual({ accepted: 2, replacement: null });
    expect(judge([0, 1], 0.51)).toEqual({ accepted: 0, replacement: 1 });
    expect(judge([0, 2], 0.1)).toEqual({ accepted: 1, replacement: 1 });
  });

  it.each([0, 0.2, 1, 3])('is what drawing with logits that differ by %d finds', (difference) => {
    const { target, draft, counts, coupled, accepted } = draw(difference);
    const [byCoupling, byRejection] = [chanceByCoupling(draft, target), chanceByRejection(draft, target)];
    const reach = 4 * Math.sqrt(0.25 / draws);
    expect(Math.abs(coupled - byCoupling)).toBeLessThan(reach);
    expect(Math.abs(accepted - byRejection)).toBeLessThan(reach);
    expect(byCoupling).toBeLessThanOrEqual(byRejection + 1e-12);
    expect(byCoupling).toBeGreaterThanOrEqual(byRejection / (2 - byRejection) - 1e-12);
    // Whatever the draft proposes, the rejection rule's tokens are the target's.
    expect(chiSquared(counts, target)).toMatchObject({ isLikely: true });
    console.info(
      `logits differ by ${difference}: coupled ${coupled.toFixed(3)}, rejection rule ${accepted.toFixed(3)}, each ± ${reach.toFixed(3)}`,
    );
  });

  it('is 1 of what is the same, and 0 of what has nothing in common', () => {
    expect(chanceByCoupling([0.3, 0.7, 0], [0.3, 0.7, 0])).toBeCloseTo(1, 12);
    expect(chanceByCoupling([1, 0], [0, 1])).toBe(0);
    expect(chanceByRejection([1, 0], [0, 1])).toBe(0);
  });
});

describe('acceptDrawn', () => {
  it.each<{ title: string; draft: number[]; target: number[]; coins: [number, number]; expected: object }>([
    {
      title: 'always accepts what the target likes at least as much',
      ...{ draft: [0.5, 0.5], target: [0.75, 0.25], coins: [0.999, 0] },
      expected: { accepted: true, token: 0 },
    },
    {
      title: 'accepts with the ratio of the probabilities',
      ...{ draft: [0.5, 0.5], target: [0.25, 0.75], coins: [0.49, 0] },
      expected: { accepted: true, token: 0 },
    },
    {
      title: 'rejects at the ratio itself',
      ...{ draft: [0.5, 0.5], target: [0.25, 0.75], coins: [0.5, 0] },
      expected: { accepted: false, token: 1 },
    },
    {
      title: 'never accepts what the target excludes',
      ...{ draft: [0.5, 0.5], target: [0, 1], coins: [0, 0.999] },
      expected: { accepted: false, token: 1 },
    },
    {
      title: 'draws from the excess of the target: its first token',
      ...{ draft: [0.8, 0.2, 0], target: [0.2, 0.4, 0.4], coins: [0.9, 0.33] },
      expected: { accepted: false, token: 1 },
    },
    {
      title: 'draws from the excess of the target: its last token',
      ...{ draft: [0.8, 0.2, 0], target: [0.2, 0.4, 0.4], coins: [0.9, 0.34] },
      expected: { accepted: false, token: 2 },
    },
    {
      title: 'stays within the excess when the coin is all but 1',
      ...{ draft: [0.8, 0.1, 0.1], target: [0.2, 0.7, 0.1], coins: [0.9, 1 - 2 ** -53] },
      expected: { accepted: false, token: 1 },
    },
  ])('$title', ({ draft, target, coins, expected }) => {
    expect(judge(0, Float64Array.from(draft), Float64Array.from(target), coins)).toEqual(expected);
  });

  it.each<{ title: string; draft: number[]; target: number[] }>([
    { title: 'a good draft', draft: [0.3, 0.3, 0.2, 0.15, 0.05], target: [0.35, 0.25, 0.2, 0.1, 0.1] },
    { title: 'a bad draft', draft: [0.9, 0.025, 0.025, 0.025, 0.025], target: [0.02, 0.08, 0.2, 0.3, 0.4] },
    { title: 'a perfect draft', draft: [0.1, 0.2, 0.3, 0.2, 0.2], target: [0.1, 0.2, 0.3, 0.2, 0.2] },
    {
      title: 'tokens that one of them excludes',
      draft: [0.5, 0, 0.5, 0, 0],
      target: [0, 0.5, 0.25, 0.25, 0],
    },
  ])('follows the target whatever the draft: $title', ({ draft, target }) => {
    const random = createRandom(3, 'acceptDrawn');
    const draftProbs = Float64Array.from(draft);
    const targetProbs = Float64Array.from(target);
    const numDraws = 20_000;
    const counts = target.map(() => 0);
    let accepted = 0;
    for (let draw = 0; draw < numDraws; draw += 1) {
      const candidate = sample(draftProbs, random.uniform());
      const outcome = judge(candidate, draftProbs, targetProbs, [random.uniform(), random.uniform()]);
      counts[outcome.token] += 1;
      if (outcome.accepted) accepted += 1;
    }
    // Pearson's chi-square with at most 4 degrees of freedom: above 18.5 once in a thousand seeds.
    let chiSquare = 0;
    for (const [id, probability] of target.entries()) {
      if (probability === 0) expect(counts[id], `token ${id} is excluded`).toBe(0);
      else chiSquare += (counts[id] - numDraws * probability) ** 2 / (numDraws * probability);
    }
    expect(chiSquare).toBeLessThan(18.5);
    // Accepted with probability sum of min(draft, target); four standard deviations, at most 0.5 / sqrt(draws) each.
    const overlap = target.reduce((sum, probability, id) => sum + Math.min(probability, draft[id]), 0);
    expect(Math.abs(accepted / numDraws - overlap)).toBeLessThan(2 / Math.sqrt(numDraws));
  });
});

/** Only the tokens that have a share. */
function withShare(probabilities: Float64Array) {
  const ids = Int32Array.from(probabilities.keys()).filter((id) => probabilities[id]! > 1e-12);
  return { ids, shares: Float64Array.from(ids, (id) => probabilities[id]!) };
}

/** The rejection rule at one position: whether its candidate stands, and the token there. */
function judge(
  candidate: number,
  draft: Float64Array,
  target: Float64Array,
  coins: readonly [number, number],
) {
  const { accepted, replacement } = acceptDrawn({
    ...{ candidates: [candidate], draft: [withShare(draft)], target: [withShare(target)], first: 0 },
    coins: () => coins,
  });
  return { accepted: accepted === 1, token: replacement ?? candidate };
}

function sample(probs: Float64Array, coin: number): number {
  let rest = coin;
  for (const [id, probability] of probs.entries()) {
    if (rest < probability) return id;
    rest -= probability;
  }
  return probs.findLastIndex((probability) => probability > 0);
}

describe('Sequence', () => {
  const choices = (...ids: number[]) => ids.map((id) => ({ id, margin: 1, routerMargin: 1 }));
  const eos = new Set([7, 8]);

  it.each<{ title: string; rounds: number[][]; ids: number[]; stopReason: string | null; remaining: number }>(
    [
      { title: 'goes on below its limit', rounds: [[1, 2]], ids: [1, 2], stopReason: null, remaining: 2 },
      {
        title: 'ends at its limit',
        rounds: [
          [1, 2],
          [3, 4],
        ],
        ids: [1, 2, 3, 4],
        stopReason: 'length',
        remaining: 0,
      },
      {
        title: 'drops what lies past its limit',
        rounds: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        ids: [1, 2, 3, 4],
        stopReason: 'length',
        remaining: 0,
      },
      {
        title: 'ends at an end-of-sequence token and keeps it',
        rounds: [[1, 7]],
        ids: [1, 7],
        stopReason: 'eos',
        remaining: 0,
      },
      {
        title: 'drops what follows that token',
        rounds: [[1, 8, 3, 4, 5]],
        ids: [1, 8],
        stopReason: 'eos',
        remaining: 0,
      },
      {
        title: 'ends by that token at its limit',
        rounds: [[1, 2, 3, 7]],
        ids: [1, 2, 3, 7],
        stopReason: 'eos',
        remaining: 0,
      },
      {
        title: 'ignores that token past its limit',
        rounds: [[1, 2, 3, 4, 7]],
        ids: [1, 2, 3, 4],
        stopReason: 'length',
        remaining: 0,
      },
      {
        title: 'takes nothing once it has ended',
        rounds: [[7], [1]],
        ids: [7],
        stopReason: 'eos',
        remaining: 0,
      },
    ],
  )('$title', ({ rounds, ids, stopReason, remaining }) => {
    const sequence = new Sequence(0, [10, 11, 12], 4);
    for (const round of rounds) sequence.append(choices(...round), { eosTokenIds: eos });
    expect(sequence.choices.map(({ id }) => id)).toEqual(ids);
    expect(sequence).toMatchObject({ stopReason, remaining, length: 3 + ids.length });
    expect(sequence.isFinished).toBe(stopReason !== null);
  });

  it('lists its tokens from any position, across the border of the prompt', () => {
    const sequence = new Sequence(0, [10, 11, 12], 9);
    sequence.append(choices(1, 2), { eosTokenIds: eos });
    const tails = [0, 2, 3, 4, 5].map((start) => sequence.tokensFrom(start));
    expect(tails).toEqual([[10, 11, 12, 1, 2], [12, 1, 2], [1, 2], [2], []]);
  });
});

describe('AcceptanceCounter', () => {
  it('counts by position and by round', () => {
    const counter = new AcceptanceCounter();
    counter.count(4, 4, 5);
    counter.count(4, 1, 2);
    counter.count(2, 0, 1);
    counter.count(0, 0, 1); // the sequence's last token needs no candidate
    expect(counter.report()).toEqual({
      proposed: 10,
      accepted: 5,
      rate: 0.5,
      tokensPerRound: 9 / 4,
      byPosition: [
        { proposed: 3, accepted: 2 },
        { proposed: 3, accepted: 1 },
        { proposed: 2, accepted: 1 },
        { proposed: 2, accepted: 1 },
      ],
    });
  });

  it('counts tokens that were kept, not those past a limit', () => {
    const counter = new AcceptanceCounter();
    counter.count(4, 4, 2);
    expect(counter.report()).toMatchObject({ accepted: 4, tokensPerRound: 2 });
  });

  it('reports null when nothing was proposed', () => {
    const counter = new AcceptanceCounter();
    expect(counter.report()).toBeNull();
    counter.count(0, 0, 1);
    expect(counter.report()).toBeNull();
  });

  it('keeps its counts when a report is changed', () => {
    const counter = new AcceptanceCounter();
    counter.count(1, 1, 2);
    (counter.report()!.byPosition[0] as { accepted: number }).accepted = 99;
    expect(counter.report()!.accepted).toBe(1);
  });
});
