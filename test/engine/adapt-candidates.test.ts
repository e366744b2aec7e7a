/**
 * Candidates per round, chosen while a run is under way, against every fixed number and none: on virtual machines where
 * verifying is nearly free, where the device has its hands full, and where proposing is dear. The losses are printed.
 */

import {
  type FlatMachine,
  flattenMachine,
  openCheckpoint,
  type PolicyInput,
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

const rates = [0.05, 0.35, 0.8, 0.95];
const losses: { readonly name: string; readonly best: number; readonly none: number }[] = [];

const secondsOf = async (machine: FlatMachine, strategy: StrategyName, rate: number, policy: PolicyInput) => {
  const result = await simulateRun({
    ...{ target, draft, strategy, maxNewTokens, machine: unflattenMachine(machine), draws: 'common' },
    promptLengths: new Array<number>(numPrompts).fill(64),
    policy: { pinnedLayers: 0, keptLayers: numLayers, ...policy },
    acceptance: { kind: 'rates', name: String(rate), byPosition: [rate] },
  });
  return { seconds: result.phases.decode.seconds, rounds: result.roundsByCandidates };
};

describe('candidates per round', () => {
  it('are told by number, and never more than the policy has', async () => {
    const { rounds } = await secondsOf(machines['busy device'], 'serial', 0.05, {
      ...{ candidates: 3, adaptCandidates: 'yes' },
    });
    expect(rounds).toHaveLength(4);
    expect((rounds as number[])[0]).toBeGreaterThan(100);
    const { rounds: fixed } = await secondsOf(flat, 'serial', 0.05, { candidates: 3 });
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
    const alone = await runEngine({ ...request, strategy: 'none' });
    for (const drafter of ['model', 'suffix-automaton'] as const) {
      const adapted = await runEngine({
        ...{ ...request, strategy, drafter },
        policy: { ...policy, adaptCandidates: 'yes' },
      });
      expect(adapted.outputDigest).toBe(alone.outputDigest);
      const rounds = adapted.roundsByCandidates as number[];
      expect(rounds).toHaveLength((policy.candidates as number) + 1);
      expect(rounds.reduce((sum, count) => sum + count)).toBeGreaterThan(3);
    }
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
    const none = (await secondsOf(machine, 'none', 0, { decodeBatch })).seconds;
    for (const rate of rates) {
      let best = none;
      let which = 0;
      for (const candidates of [1, 2, 3, 5, 8]) {
        const { seconds } = await secondsOf(machine, strategy, rate, { candidates });
        if (seconds < best) [best, which] = [seconds, candidates];
      }
      const adapted = await secondsOf(machine, strategy, rate, { candidates: most, adaptCandidates: 'yes' });
      const behind = { best: adapted.seconds / best - 1, none: adapted.seconds / none - 1 };
      losses.push({
        ...behind,
        name: `${strategy}, ${name}, ${rate} (${adapted.rounds}; best ${which})`,
      });
      expect(behind.best).toBeLessThan(0.08);
      expect(behind.none).toBeLessThan(0.05);
    }
  });
});
