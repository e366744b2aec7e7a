import {
  type AcceptanceTrace,
  createRandom,
  expectedTokens,
  parseAcceptance,
  runEngine,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  bestCandidates,
  countPositions,
  measureAcceptance,
  ratesByPosition,
  ratesInRounds,
  replayRounds,
  singleRate,
  speedOf,
  tokensPerRound,
} from '../../../experiments/src/acceptance/index.js';
import { openShippedPair } from '../../../experiments/src/inputs/pair.js';
import { loadWorkload } from '../../../experiments/src/inputs/prompts.js';

const trace = (candidates: number, ...sequences: number[][]): AcceptanceTrace => ({
  ...{ kind: 'recorded', name: 'test', candidates, newTokens: 8, sequences },
});

/** Every candidate stands with the same chance, whatever came before. */
function independentTrace(rate: number, candidates: number, tokens: number): AcceptanceTrace {
  const random = createRandom(7, 'test');
  const runs = Array.from({ length: tokens }, (_, at) => {
    let run = 0;
    while (run < Math.min(candidates, tokens - at) && random.uniform() < rate) run += 1;
    return run;
  });
  return { kind: 'recorded', name: 'independent', candidates, newTokens: tokens, sequences: [runs] };
}

describe('replayed rounds', () => {
  it.each<[string, number[], number, number]>([
    ['no candidate stands: one token each', [0, 0, 0, 0, 0], 4, 4],
    ['all stand: candidates and one more', [4, 4, 4, 4, 4, 4, 3, 2, 1], 4, 2],
    ['the last round proposes no more than is wanted', [3, 2, 1], 4, 1],
    ['no candidates: one token each', [2, 1, 0], 0, 2],
    ['what is behind a refused candidate does not count', [0, 1, 0, 0, 0], 2, 3],
  ])('%s', (_what, runs, candidates, rounds) => {
    const [sequence] = replayRounds(trace(4, runs), candidates);
    expect(sequence).toEqual({ rounds, tokens: runs.length - 1, tokensPerRound: (runs.length - 1) / rounds });
  });

  it('leave out sequences that need none, and add up tokens over rounds', () => {
    const replayed = replayRounds(trace(4, [0], [0, 0, 0], [4, 3, 2, 1, 0]), 4);
    expect(replayed).toHaveLength(2);
    expect(tokensPerRound(replayed)).toBe(6 / 3);
  });

  it('refuse more candidates than were tried', () => {
    expect(() => replayRounds(trace(4, [0, 0]), 5)).toThrow(
      'invalid candidates: 5; expected a whole number from 0 to 4, which is what test recorded',
    );
  });

  it('are those that the engine really goes through', async () => {
    const { target, draft, tokenizer } = await openShippedPair();
    const workload = await loadWorkload('prose', 3, { size: target.spec.vocabSize, tokenizer });
    const recorded = await measureAcceptance({ target, draft, workload, newTokens: 12, candidates: 4 });
    const { acceptance } = await runEngine({
      ...{ target, draft, prompts: workload.prompts, strategy: 'serial', policy: { candidates: 3 } },
      ...{ maxNewTokens: 12, stopAtEos: false, machine: { deviceBytes: 1e9, hostBytes: 1e9 } },
    });
    expect(tokensPerRound(replayRounds(recorded, 3))).toBeCloseTo(acceptance!.tokensPerRound, 12);
    expect(recorded.spec).toMatchObject({
      ...{ kind: 'acceptance', candidates: 4, draft: draft.digest },
      of: { strategy: 'none', maxNewTokens: 12, models: { target: target.digest, draft: null } },
    });
    expect(parseAcceptance(JSON.parse(JSON.stringify(recorded)), 'own.json')).toMatchObject({
      sequences: recorded.sequences,
    });
    const looked = { target, draft: null, drafter: 'prompt-lookup', workload, newTokens: 12 } as const;
    const byLookUp = await measureAcceptance({ ...looked, candidates: 4 });
    expect(byLookUp.spec).toMatchObject({ drafter: 'prompt-lookup', draft: null });
    expect(byLookUp.sequences.map((runs) => runs.length)).toEqual([12, 12, 12]);
  });
});

describe('rates', () => {
  it('count beginnings that enough tokens follow, and no others', () => {
    const short = trace(2, [2, 1, 0, 2, 1], [1]);
    expect(countPositions(short)).toEqual([
      { proposed: 4, accepted: 3 },
      { proposed: 4, accepted: 2 },
    ]);
    expect(ratesByPosition(short).byPosition).toEqual([3 / 4, 2 / 3]);
  });

  it('are those that candidates were drawn with, and give the tokens that rounds bring', () => {
    const drawn = independentTrace(0.7, 6, 40_000);
    for (const rate of ratesByPosition(drawn).byPosition) expect(rate).toBeCloseTo(0.7, 1);
    expect(singleRate(drawn)).toBeCloseTo(0.7, 2);
    const expected = expectedTokens({ kind: 'rates', name: '', byPosition: [0.7] }, 6);
    expect(tokensPerRound(replayRounds(drawn, 6)) / expected).toBeCloseTo(1, 1);
  });

  it('of rounds begin where the one before ended, and know no token behind the last', () => {
    // Rounds at 1 (both stand), 4 (the first falls), 5 (one stands, the text ends).
    const recorded = trace(2, [0, 2, 1, 0, 0, 2, 1], [9]);
    const ranked = { ...recorded, sequences: [recorded.sequences[0]], ranks: [[0, 0, 0, 0, 1, 0, 0]] };
    expect(ratesInRounds(ranked)).toMatchObject({ byPosition: [2 / 3, 1], secondChoice: 1 });
    expect(ratesInRounds(ranked, 7, 1).byPosition).toEqual([4 / 5]);
    expect(ratesInRounds(ranked, 5).byPosition).toEqual([1 / 2, 1]);
    const drawn = independentTrace(0.7, 6, 40_000);
    for (const rate of ratesInRounds(drawn).byPosition) expect(rate).toBeCloseTo(0.7, 1);
  });

  it('refuse texts shorter than the candidates', () => {
    expect(() => singleRate(trace(4, [0, 0, 0]))).toThrow(
      'the acceptance test has no text of 4 new tokens; record longer texts, or fewer candidates',
    );
  });
});

describe('the best number of candidates', () => {
  const geometric = (rate: number) => (candidates: number) => (1 - rate ** (candidates + 1)) / (1 - rate);

  it.each([
    ['none, where drafting costs more than it brings', 0.3, 0.5, 0],
    ['all, where it costs nothing', 0.9, 0, 8],
    ['some in between', 0.8, 0.1, 6],
  ])('is %s', (_what, rate, stepCost, best) => {
    expect(bestCandidates(geometric(rate), stepCost, 8)).toBe(best);
    for (let other = 0; other <= 8; other++)
      expect(speedOf(geometric(rate), stepCost, other)).toBeLessThanOrEqual(
        speedOf(geometric(rate), stepCost, best),
      );
  });
});
