/** The closed form against the simulator: close enough to rank by, and never above what its bound allows. */

import {
  type AcceptanceRates,
  closedForm,
  computeLane,
  describeModel,
  expectedTokens,
  type Lane,
  type MachineModel,
  type PhaseName,
  type PlanningJob,
  type PolicyInput,
  type StrategyName,
  simulateRun,
  transferLane,
  withBudgets,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { type Appraisal, Appraiser, placeContender } from '../../engine/dist/plan/appraise.js';
import { lifetimes } from '../../engine/dist/plan/lifetimes.js';
import { laptop, mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const published: PolicyInput = {
  ...{ candidates: 6, prefillBatch: 20, draftBatch: 10, draftCache: 'recompute', projections: 'host' },
  ...{ prefillAttention: 'device', prefillOrder: 'batch-major', draftPlacement: 'after-prefill' },
  prefetchDepth: 0,
};
const modern: PolicyInput = { prefillAttention: 'device', prefillBatch: 16, draftBatch: 32, candidates: 4 };

const policies: readonly (readonly [StrategyName, PolicyInput])[] = [
  ['none', {}],
  ['none', { decodeBatch: 24, prefillBatch: 8 }],
  ['none', { decodeBatch: 24, prefillBatch: 8, refill: 'yes' }],
  ['none', { hostShare: 0.2, prefillAttention: 'device' }],
  ['none', { keptExperts: 'in-place', keptAttention: 'in-place', pinnedLayers: 1 }],
  ['accelerate', { decodeBatch: 32 }],
  ['deepspeed', { decodeBatch: 32 }],
  ['flexgen', { microBatch: 32, prefillBatch: 32 }],
  ['serial', modern],
  ['serial', { ...modern, draftCache: 'window', microBatch: 24 }],
  ['serial', { ...modern, draftCache: 'recompute', prefillOrder: 'batch-major' }],
  ['serial', { ...modern, speculation: 'ahead' }],
  ['ahead', modern],
  ['ahead', { ...modern, outcomes: 8, microBatch: 24 }],
  ['none', { microBatch: 16, coalesceExperts: 'yes' }],
  ['serial', { ...modern, microBatch: 24, coalesceExperts: 'yes', attention: 'device' }],
  ['serial', { ...modern, microBatch: 24, coalesceExperts: 'yes', hostShare: 0.2 }],
  ['serial', { ...modern, attention: 'device', cache: 'host' }],
  ['specoffload', modern],
  ['specoffload', { ...modern, draftCache: 'window', candidates: 8 }],
  ['specoffload', { ...modern, keptExperts: 'in-place' }],
  ['specoffload', published],
  ['specoffload', { ...published, ending: 'slowest', pageLocked: 0.5 }],
];

const machines: readonly MachineModel[] = [
  shrinkMemory(workstation, 1 / 2),
  shrinkMemory(withBudgets(laptop, { deviceBytes: 24e9 }), 1 / 2),
];

describe.each(machines)('on $name', (machine) => {
  const acceptance = rates(0.75, 0.7, 0.65);
  const job: PlanningJob = {
    ...{ target: mixtral(), draft: mistral(), machine, acceptance, maxNewTokens: 24 },
    promptLengths: new Array<number>(96).fill(200),
  };
  const wide = { ...job, acceptance: rates(0.7) };

  it.each(policies)(
    '%s %o is within 15 % of its simulation, and its bound within 8 %',
    async (strategy, policy) => {
      const { promptLengths, maxNewTokens } = job;
      const prepared = placeContender(wide, { strategy, policy });
      const estimate = closedForm({
        ...{ prepared, promptLengths, maxNewTokens, machine, acceptance: wide.acceptance },
      });
      const simulated = await simulateRun({ ...wide, strategy, policy });
      expect(estimate.newTokens).toBe(simulated.newTokens);
      const ratio = estimate.seconds / simulated.seconds;
      expect(ratio, `estimated ${estimate.seconds} s, simulated ${simulated.seconds} s`).toBeGreaterThan(
        0.85,
      );
      expect(ratio, `estimated ${estimate.seconds} s, simulated ${simulated.seconds} s`).toBeLessThan(1.15);
      expect(estimate.boundSeconds / simulated.seconds).toBeLessThan(1.08);
    },
  );
});

/** Of 2 to 4 rows a layer leaves out some of its eight experts, and whoever computes waits for those that come. */
describe('with single experts that routers choose, of few sequences', () => {
  const { spec } = mixtral();
  const target = describeModel({ name: 'single experts', spec, unit: 'expert' });
  const job: PlanningJob = {
    ...{ target, draft: null, acceptance: null, machine: machines[1] },
    ...{ promptLengths: new Array<number>(3).fill(120), maxNewTokens: 12 },
  };
  const cases: readonly PolicyInput[] = [
    { experts: 'routed' },
    { experts: 'routed', prefetchDepth: 1 },
    { experts: 'routed', prefetchDepth: 0 },
    { experts: 'all', prefetchDepth: 0 },
    { experts: 'routed', residents: 'tensors' },
    { experts: 'routed', hostExpertRows: 1, prefetchDepth: 0 },
    { experts: 'routed', expertPrefetch: 'router' },
    { experts: 'routed', expertPrefetch: 'router', expertCache: 'lfu' },
    { experts: 'routed', expertCache: 'lru' },
  ];
  it.each(cases)('%o is within a fifth of its simulation', async (fields) => {
    const policy = { ...fields, prefillAttention: 'device', attention: 'device', keptLayers: 0 } as const;
    const { tokensPerSecond } = new Appraiser(job).appraise({ strategy: 'none', policy }) as Appraisal;
    const simulated = await simulateRun({ ...job, strategy: 'none', policy });
    expect(tokensPerSecond / simulated.tokensPerSecond).toBeGreaterThan(0.8);
    expect(tokensPerSecond / simulated.tokensPerSecond).toBeLessThan(1.2);
  });
});

/** The workstation with lanes that other machines do not have. */
function withLanes(name: string, ...lanes: readonly Lane[]): MachineModel {
  const { lanes: usual, ...rest } = shrinkMemory(workstation, 1 / 2);
  return { ...rest, name, lanes: [...usual, ...lanes] };
}

const conduct = { variability: 0, width: 1, overheadSeconds: 1e-4 };
const link = transferLane(workstation, 'link');
const gpuDirect = withLanes('a disk that the device reads', {
  ...{ name: 'disk-to-device', moves: { from: 'disk', to: 'device' } },
  ...{ ...conduct, bytesPerSecond: 6e9 },
});
const duplex = withLanes('a way back of its own', {
  ...{ ...link, name: 'uplink', moves: { from: 'device', to: 'host' } },
});
const twoDevices = withLanes('a second device', {
  ...{ ...computeLane(workstation, 'device'), name: 'draft-device', serves: ['draft'] },
  interruptsDraft: false,
});
const stage = { name: 'stage', bytes: 64e9 };
const moves = (name: string, from: string, to: string, bytesPerSecond: number): Lane => ({
  ...{ ...conduct, name, moves: { from, to }, bytesPerSecond },
});
const pooled: MachineModel = {
  ...withLanes('a pool before the host'),
  memories: [...shrinkMemory(workstation, 1 / 2).memories, stage],
  lanes: [
    ...[moves('pool', 'disk', 'stage', 5e9), moves('fabric', 'stage', 'host', 6e9)],
    ...workstation.lanes.filter(({ name }) => name !== 'disk'),
  ],
};
const cached: MachineModel = {
  ...withLanes('a cache past the host'),
  memories: [...shrinkMemory(workstation, 1 / 2).memories, stage],
  // Of ways with equally many hops, the lanes named first are taken.
  lanes: [moves('flash', 'disk', 'stage', 5e9), moves('bus', 'stage', 'device', 6e9), ...workstation.lanes],
};
const twoMemories: MachineModel = {
  ...withLanes(
    'a second device with its own memory',
    { ...computeLane(workstation, 'device'), name: 'gpu2', computesOn: 'gpu2', serves: ['draft'] },
    moves('link2', 'host', 'gpu2', 2e9),
  ),
  memories: [...shrinkMemory(workstation, 1 / 2).memories, { name: 'gpu2', bytes: 16e9 }],
};
const crossing: PolicyInput = { attention: 'device', prefillAttention: 'device', cache: 'host' };

describe('on a machine of other lanes', () => {
  const acceptance = rates(0.7);
  const job: Omit<PlanningJob, 'machine'> = {
    ...{ target: mixtral(), draft: mistral(), acceptance, maxNewTokens: 24 },
    promptLengths: new Array<number>(96).fill(200),
  };
  type Case = readonly [StrategyName, PolicyInput, MachineModel, string];
  const cases: readonly (readonly [string, ...Case])[] = [
    [gpuDirect.name, 'none', { keptLayers: 0 }, gpuDirect, 'disk-to-device'],
    [gpuDirect.name, 'none', { keptLayers: 4 }, gpuDirect, 'disk-to-device'],
    [gpuDirect.name, 'accelerate', { decodeBatch: 32, keptLayers: 2 }, gpuDirect, 'disk-to-device'],
    [gpuDirect.name, 'specoffload', { ...modern, keptLayers: 0 }, gpuDirect, 'disk-to-device'],
    [gpuDirect.name, 'specoffload', { ...published, keptLayers: 0 }, gpuDirect, 'disk-to-device'],
    [duplex.name, 'none', crossing, duplex, 'uplink'],
    [duplex.name, 'flexgen', { microBatch: 32, prefillBatch: 32 }, duplex, 'uplink'],
    [duplex.name, 'serial', { ...modern, ...crossing }, duplex, 'uplink'],
    [pooled.name, 'none', { keptLayers: 0, pinnedLayers: 1 }, pooled, 'fabric'],
    [pooled.name, 'none', { keptLayers: 0, prefetchDepth: 0 }, pooled, 'pool'],
    [pooled.name, 'accelerate', { decodeBatch: 32, keptLayers: 2 }, pooled, 'fabric'],
    [cached.name, 'serial', { ...modern, keptLayers: 0 }, cached, 'bus'],
    [cached.name, 'none', { hostShare: 0.2, keptLayers: 0 }, cached, 'disk'],
    [twoMemories.name, 'specoffload', { ...modern, draftPlacement: 'after-prefill' }, twoMemories, 'link2'],
    [twoMemories.name, 'specoffload', modern, twoMemories, 'gpu2'],
    [twoMemories.name, 'serial', { ...published, keptLayers: 2 }, twoMemories, 'gpu2'],
    [twoDevices.name, 'serial', { ...modern, speculation: 'ahead' }, twoDevices, 'draft-device'],
    [
      twoDevices.name,
      'specoffload',
      { ...modern, draftCache: 'recompute', candidates: 8 },
      twoDevices,
      'draft-device',
    ],
  ];

  it.each(cases)('%s: %s %o', async (_name, strategy, policy, machine, lane) => {
    const { promptLengths, maxNewTokens } = job;
    const prepared = placeContender({ ...job, machine }, { strategy, policy });
    const estimate = closedForm({ prepared, promptLengths, maxNewTokens, machine, acceptance });
    const simulated = await simulateRun({ ...job, machine, strategy, policy });
    expect(estimate.seconds / simulated.seconds).toBeGreaterThan(0.85);
    expect(estimate.seconds / simulated.seconds).toBeLessThan(1.15);
    expect(estimate.boundSeconds / simulated.seconds).toBeLessThan(1.08);
    const busy = (phases: Readonly<Record<PhaseName, number>>) => phases.prefill + phases.decode;
    const ours = busy({
      prefill: estimate.phases.prefill.lanes[lane],
      decode: estimate.phases.decode.lanes[lane],
    });
    const theirs = busy({
      prefill: simulated.phases.prefill.lanes[lane].busySeconds,
      decode: simulated.phases.decode.lanes[lane].busySeconds,
    });
    expect(theirs).toBeGreaterThan(0);
    expect(ours / theirs, `estimated ${ours} s, simulated ${theirs} s`).toBeGreaterThan(0.85);
    expect(ours / theirs, `estimated ${ours} s, simulated ${theirs} s`).toBeLessThan(1.15);
  });
});

describe('lifetimes', () => {
  const options = { maxNewTokens: 33, goesOn: false, together: 1, alternates: 0, alternateTokens: 1 };

  it('without speculation are as many rounds as tokens after the first', () => {
    const rounds = lifetimes({ ...options, candidates: 0, acceptance: null });
    expect(rounds).toHaveLength(32);
    expect(rounds.every(({ alive, rows }) => alive === 1 && rows === 1)).toBe(true);
  });

  it('bring on average what Leviathan et al. expect of a round, until the limit is near', () => {
    const acceptance = rates(0.7);
    const [first, second] = lifetimes({ ...options, candidates: 4, acceptance });
    if (acceptance.kind !== 'rates') throw new Error('rates were asked for');
    expect(second!.tokens - first!.tokens).toBeCloseTo(expectedTokens(acceptance, 4), 10);
  });

  it.each([
    [2, 1],
    [4, 1],
    [2, 3],
  ])('go further where one of %i alternates of %i tokens is found', (alternates, alternateTokens) => {
    const acceptance = { ...rates(0.7), secondChoice: 0.6 } as AcceptanceRates;
    const [first, second] = lifetimes({ ...options, candidates: 4, alternates, alternateTokens, acceptance });
    expect(second!.tokens - first!.tokens).toBeCloseTo(
      expectedTokens(acceptance, 4, alternates, alternateTokens),
      10,
    );
    expect(expectedTokens(acceptance, 4, alternates, alternateTokens)).toBeGreaterThan(
      expectedTokens(acceptance, 4),
    );
    expect(first!.rows).toBeGreaterThan(5 + alternates * alternateTokens);
    expect(first!.rows).toBeLessThan(6 + (alternates + 1) * alternateTokens);
  });

  it('propose no more than is still wanted', () => {
    const rounds = lifetimes({ ...options, maxNewTokens: 3, candidates: 8, acceptance: rates(1) });
    expect(rounds).toHaveLength(1);
    expect(rounds[0]).toMatchObject({ alive: 1, rows: 2, wanting: [1, 0, 0, 0, 0, 0, 0, 0] });
  });

  it('go on until the slowest of those that end together', () => {
    const acceptance = rates(0.5);
    const alone = lifetimes({ ...options, candidates: 4, acceptance });
    const together = lifetimes({ ...options, candidates: 4, acceptance, goesOn: true, together: 64 });
    expect(together.length).toBeGreaterThanOrEqual(alone.length);
    expect(together[8].alive).toBeGreaterThan(alone[8].alive);
  });
});
