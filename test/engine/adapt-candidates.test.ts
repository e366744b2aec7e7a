/**
 * Candidates per round, chosen while a run is under way, against every fixed number and none: on virtual machines where
 * verifying is nearly free, where the device has its hands full, and where proposing is dear. The losses are printed.
 */

import {
  type Acceptance,
  AcceptanceEstimate,
  createRandom,
  type FlatMachine,
  flattenMachine,
  openCheckpoint,
  type PolicyInput,
  type RunResult,
  runEngine,
  type StrategyName,
  simulateRun,
  unflattenMachine,
} from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';
import { mistral, mixtral, workstation } from './plan-cases.js';

const numLayers = 2;
const [target, draft] = [mixtral(numLayers), mistral(1)];
const most = 8;
const maxNewTokens = 128;
const numPrompts = 12;

const flat = flattenMachine(workstation);
const slowed = (factor: number): FlatMachine['device'] => ({
  ...flat.device,
  arithmetic: flat.device.arithmetic.map(([rows, rate]) => [rows, rate / factor] as const),
});
const machines = {
  'free verification': flat,
  'busy device': { ...flat, device: slowed(300) },
  'dear draft': { ...flat, device: { ...flat.device, memoryBytesPerSecond: 5e9 } },
} satisfies Record<string, FlatMachine>;

const seeds = [1, 2, 3];
const rates = [0.05, 0.35, 0.8, 0.95];
/** What is written without anybody who proposes, once for all that are held to it. */
let alone: Promise<RunResult> | undefined;

const losses: { readonly name: string; readonly best: number; readonly none: number }[] = [];

const predict = async (
  machine: FlatMachine,
  strategy: StrategyName,
  acceptance: Acceptance,
  policy: PolicyInput,
  seed = 1,
) => {
  const result = await simulateRun({
    ...{ acceptance, seed },
    ...{ target, draft, strategy, maxNewTokens, machine: unflattenMachine(machine), draws: 'common' },
    promptLengths: new Array<number>(numPrompts).fill(64),
    policy: { pinnedLayers: 0, keptLayers: numLayers, ...policy },
  });
  const { roundsByCandidates: rounds, proposingStoppedSeconds: stopped } = result;
  return { seconds: result.phases.decode.seconds, rounds, stopped };
};

const ratesOf = (rate: number): Acceptance => ({ kind: 'rates', name: String(rate), byPosition: [rate] });

describe('what a run has seen', () => {
  it('counts tokens that alternates brought where a candidate fell, and nothing where all stood', () => {
    const random = createRandom(3, 'falls');
    const [candidates, rate, secondChoice, rounds] = [4, 0.6, 0.5, 4000];
    const [plain, estimate] = [new AcceptanceEstimate(), new AcceptanceEstimate()];
    const brought: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      let accepted = 0;
      while (accepted < candidates && random.uniform() < rate) accepted += 1;
      const found = accepted < candidates && random.uniform() < secondChoice ? 2 : 0;
      plain.count(candidates, candidates, accepted);
      estimate.count(candidates, candidates, accepted, found);
      brought.push(1 + accepted + found);
    }
    const mean = brought.reduce((sum, tokens) => sum + tokens, 0) / rounds;
    expect(Math.abs(estimate.tokensOf(candidates).mean / mean - 1)).toBeLessThan(0.08);
    expect(plain.tokensOf(candidates).mean).toBeLessThan(0.85 * mean);
    // Without candidates nothing falls; without alternates nothing is another than it was.
    expect(estimate.tokensOf(0)).toEqual({ mean: 1, variance: 0 });
    const without = new AcceptanceEstimate();
    for (const accepted of [4, 1, 0, 2]) without.count(4, 4, accepted, 0);
    const asEver = new AcceptanceEstimate();
    for (const accepted of [4, 1, 0, 2]) asEver.count(4, 4, accepted);
    expect(without.tokensOf(4)).toEqual(asEver.tokensOf(4));
  });
});

describe('candidates per round', () => {
  it('are told by number, never more than the policy has, and when none were found best', async () => {
    const { rounds, stopped, seconds } = await predict(machines['busy device'], 'serial', ratesOf(0.05), {
      ...{ candidates: 3, adaptCandidates: 'yes' },
    });
    expect(rounds).toHaveLength(4);
    expect((rounds as number[])[0]).toBeGreaterThan(100);
    expect(stopped).toBeGreaterThan(0);
    expect(stopped).toBeLessThan(0.2 * seconds);
    const paying = await predict(flat, 'serial', ratesOf(0.8), { candidates: 3, adaptCandidates: 'yes' });
    expect(paying.stopped).toBeUndefined();
    const { rounds: fixed } = await predict(flat, 'serial', ratesOf(0.05), { candidates: 3 });
    expect(fixed).toBeUndefined();
  });

  it.each<[StrategyName, PolicyInput]>([
    ['serial', { candidates: 5 }],
    ['serial', { candidates: 3, speculation: 'ahead' }],
    ['specoffload', { candidates: 4, draftCache: 'recompute' }],
    ['flexgen', { candidates: 1, speculation: 'serial', microBatch: 2 }],
  ])('decide nothing about the text: %s with %o', async (strategy, policy) => {
    const golden = await openCheckpoint(goldenDirectory('mixtral'));
    const request = {
      ...{ target: golden, draft: golden, prompts: readGolden('mixtral').prompts.map(({ ids }) => ids) },
      ...{ maxNewTokens: 24, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
    };
    alone ??= runEngine({ ...request, strategy: 'none' });
    const { outputDigest } = await alone;
    for (const drafter of ['model', 'suffix-automaton'] as const) {
      const adapted = await runEngine({
        ...{ ...request, strategy, drafter },
        policy: { ...policy, adaptCandidates: 'yes' },
      });
      expect(adapted.outputDigest).toBe(outputDigest);
      const rounds = adapted.roundsByCandidates as number[];
      expect(rounds).toHaveLength((policy.candidates as number) + 1);
      expect(rounds.reduce((sum, count) => sum + count)).toBeGreaterThan(3);
    }
  });

  it('decide nothing about tokens that are drawn', async () => {
    const golden = await openCheckpoint(goldenDirectory('mixtral'));
    const request = {
      ...{ target: golden, draft: golden, prompts: readGolden('mixtral').prompts.map(({ ids }) => ids) },
      ...{ maxNewTokens: 16, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
      sampling: { temperature: 0.9, topP: 0.95, seed: 11 },
    };
    const alone = await runEngine({ ...request, strategy: 'none' });
    const policy = { candidates: 4, adaptCandidates: 'yes' } as const;
    for (const drafter of ['model', 'self', 'prompt-lookup'] as const) {
      const adapted = await runEngine({ ...request, strategy: 'serial', drafter, policy });
      expect(adapted.outputDigest).toBe(alone.outputDigest);
      expect(adapted.roundsByCandidates?.length).toBe(5);
    }
    const other = { ...request, sampling: { ...request.sampling, seed: 12 } };
    expect((await runEngine({ ...other, strategy: 'none' })).outputDigest).not.toBe(alone.outputDigest);
  });

  afterAll(() => {
    const worst = (of: 'best' | 'none') => Math.max(...losses.map((loss) => loss[of]));
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    for (const { name, best, none } of losses)
      console.info(`${name}: ${percent(best)} behind the best number, ${percent(none)} behind none`);
    console.info(`at worst ${percent(worst('best'))} and ${percent(worst('none'))}`);
  });

  it.each(
    (['serial', 'specoffload'] as const).flatMap((strategy) =>
      Object.keys(machines).map((name) => [strategy, name as keyof typeof machines] as const),
    ),
  )('lose little against the best number: %s, %s', async (strategy, name) => {
    const machine = machines[name];
    // The same passes, with nothing proposed.
    const decodeBatch = strategy === 'serial' ? numPrompts : numPrompts / 2;
    const none = (await predict(machine, 'none', ratesOf(0), { decodeBatch })).seconds;
    for (const rate of rates) {
      // In hindsight some number is always lucky: the best is that of all draws together, and of each no more than 8 %.
      const fixed = new Map([0, 1, 2, 3, 5, 8].map((candidates) => [candidates, seeds.map(() => none)]));
      const adapted: number[] = [];
      for (const [index, seed] of seeds.entries()) {
        for (const [candidates, seconds] of fixed)
          if (candidates > 0)
            seconds[index] = (await predict(machine, strategy, ratesOf(rate), { candidates }, seed)).seconds;
        const own = { candidates: most, adaptCandidates: 'yes' } as const;
        adapted.push((await predict(machine, strategy, ratesOf(rate), own, seed)).seconds);
        const best = Math.min(...[...fixed.values()].map((seconds) => seconds[index]));
        expect(adapted[index] / best - 1).toBeLessThan(0.08);
      }
      const together = (seconds: readonly number[]) => seconds.reduce((sum, each) => sum + each, 0);
      const best = Math.min(...[...fixed.values()].map(together));
      const behind = {
        best: together(adapted) / best - 1,
        none: together(adapted) / (seeds.length * none) - 1,
      };
      losses.push({ ...behind, name: `${strategy}, ${name}, ${rate}` });
      expect(behind.best).toBeLessThan(0.05);
      expect(behind.none).toBeLessThan(0.05);
    }
  });

  it('are chosen for each batch by its own acceptance, which no number for both can match', async () => {
    const random = createRandom(1, 'batches that differ');
    const textOf = (rate: number) =>
      Array.from({ length: maxNewTokens }, () => {
        let stood = 0;
        while (stood < most && random.uniform() < rate) stood += 1;
        return stood;
      });
    const acceptance: Acceptance = {
      ...{ kind: 'recorded', name: 'unlike', candidates: most, newTokens: maxNewTokens },
      sequences: Array.from({ length: numPrompts }, (_, index) =>
        textOf(index < numPrompts / 2 ? 0.9 : 0.05),
      ),
    };
    for (const name of ['busy device', 'dear draft'] as const) {
      const secondsOf = async (policy: PolicyInput) =>
        (await predict(machines[name], 'specoffload', acceptance, policy)).seconds;
      const fixed: number[] = [];
      for (const candidates of [1, 2, 3, 5]) fixed.push(await secondsOf({ candidates }));
      const own = await secondsOf({ candidates: most, adaptCandidates: 'yes' });
      expect(own / Math.min(...fixed)).toBeLessThan(0.95);
    }
  });
});
