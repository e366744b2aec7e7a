import {
  type Checkpoint,
  createRandom,
  loadReferenceWeights,
  type ModelSummary,
  type PolicyInput,
  type RunRequest,
  referenceGreedy,
  runEngine,
  type StrategyName,
  strategies,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Budgets } from '../../engine/dist/machine/budgets.js';
import { localFormats } from '../../engine/dist/machine/formats.js';
import type { Region } from '../../engine/dist/machine/pool.js';
import { cacheBytesPerToken } from '../../engine/dist/schedule/kv-cache.js';
import type {
  MemoryDemand,
  MemoryPlan,
  ModelPlacement,
  RopeRegions,
} from '../../engine/dist/schedule/memory-plan.js';
import { modelDrafter } from '../../engine/dist/schedule/model-drafter.js';
import { planMemory } from '../../engine/dist/schedule/placement.js';
import { measureDemand, planWaves, resolvePolicy } from '../../engine/dist/schedule/resolve.js';
import { drawPrompts, integer } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { specOf, writeTinyModel } from './tiny.js';

const mebibyte = 2 ** 20;

const megabyte = 1e6;

/** Layers of about half a mebibyte on the device, so that budgets in mebibytes make a difference. */
const config: ModelSummary = {
  ...{ architecture: 'mixtral', vocabSize: 60, hiddenSize: 64, numLayers: 8, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 16, ffnSize: 160, numExperts: 4, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4 },
  ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 400, eosTokenIds: [] },
};
const directory = createTemporaryDirectory();
const prompts = drawPrompts(createRandom(11), 3, 12, config.vocabSize);
const maxNewTokens = 5;
const plenty: Budgets = { deviceBytes: 1e12, hostBytes: 1e12 };

let target: Checkpoint;
let draft: Checkpoint;
beforeAll(async () => {
  target = await writeTinyModel(directory, 'target', config, { dtype: 'bf16', seed: 1 });
  const small = {
    ...config,
    architecture: 'mistral',
    numLayers: 2,
    numExperts: 1,
    expertsPerToken: 1,
  } as const;
  draft = await writeTinyModel(directory, 'draft', small, { dtype: 'bf16', seed: 2 });
});

function plan(strategy: StrategyName, input: PolicyInput, budgets: Budgets): MemoryPlan {
  const policy = resolvePolicy(strategies[strategy], input, prompts.length);
  const lengths = prompts.map(({ length }) => length);
  const demand: MemoryDemand = measureDemand(
    policy,
    planWaves(policy, prompts.length),
    lengths,
    maxNewTokens,
  );
  return planMemory(target, strategy === 'none' ? null : modelDrafter(draft), demand, budgets, policy);
}

/** Numbers of the layers that a map of groups by id holds, ascending. */
function layersOf(groups: ReadonlyMap<string, Region>): number[] {
  return [...new Set([...groups.keys()].map((id) => Number(id.split('.')[1])))].sort((a, b) => a - b);
}

describe('budgets are walls', () => {
  const run = (changes: Partial<RunRequest>) =>
    runEngine({
      ...{ target, draft, prompts, maxNewTokens, strategy: 'none' },
      machine: plenty,
      ...changes,
    });

  const messageOf = (changes: Partial<RunRequest>) =>
    run(changes).then(
      () => '',
      ({ message }: Error) => message,
    );

  it.each<{ strategy: StrategyName; pool: 'device' | 'host' }>([
    { strategy: 'none', pool: 'device' },
    { strategy: 'none', pool: 'host' },
    { strategy: 'specoffload', pool: 'device' },
    { strategy: 'specoffload', pool: 'host' },
  ])(
    'the smallest $pool budget that the message of $strategy names suffices, and one MB less does not',
    async ({ strategy, pool }) => {
      const refusal = await messageOf({ strategy, machine: { ...plenty, [`${pool}Bytes`]: 1 } });
      const smallest = Number(/raise it to at least ([\d.]+) MB \(with prefetchDepth 1\)/.exec(refusal)?.[1]);
      expect(smallest, refusal).toBeGreaterThan(0);
      // The other pool may be at its own smallest at the same time.
      const otherPool = pool === 'device' ? 'host' : 'device';
      const otherRefusal = await messageOf({ strategy, machine: { ...plenty, [`${otherPool}Bytes`]: 1 } });
      const otherSmallest = Number(/raise it to at least ([\d.]+) MB/.exec(otherRefusal)?.[1]);

      const machine = {
        ...{
          [`${pool}Bytes`]: Math.round(smallest * megabyte),
          [`${otherPool}Bytes`]: Math.round(otherSmallest * megabyte),
        },
      } as unknown as Budgets;
      const policy: PolicyInput = { prefetchDepth: 1 };
      const { memory, sequences } = await run({ strategy, policy, machine });
      expect(memory.device.peakBytes).toBeLessThanOrEqual(machine.deviceBytes);
      expect(memory.host.peakBytes).toBeLessThanOrEqual(machine.hostBytes);
      const weights = await loadReferenceWeights(target);
      expect(sequences[0].ids).toEqual(referenceGreedy(weights, prompts[0], maxNewTokens).ids);

      const less = { ...plenty, [`${pool}Bytes`]: Math.round((smallest - 1) * megabyte) };
      expect(await messageOf({ strategy, policy, machine: less })).toContain(
        `the ${pool} memory budget of ${(smallest - 1).toFixed(smallest < 11 ? 2 : 1)} MB is too small`,
      );
    },
  );

  it('what a run says it needs suffices for it', () => {
    for (const pool of ['device', 'host'] as const) {
      const policy: PolicyInput = { prefetchDepth: 6, pinnedLayers: 2, keptLayers: 3 };
      const refuse = () => plan('serial', policy, { ...plenty, [`${pool}Bytes`]: mebibyte });
      expect(refuse).toThrow(/this run needs [\d.]+ MB/);
      const needed = Number(/this run needs ([\d.]+) MB/.exec(messageThrownBy(refuse))?.[1]);
      const enough = { ...plenty, [`${pool}Bytes`]: Math.ceil(needed * megabyte) };
      expect(() => plan('serial', policy, enough)).not.toThrow();
      const less = { ...plenty, [`${pool}Bytes`]: Math.ceil((needed - 0.2) * megabyte) };
      expect(() => plan('serial', policy, less)).toThrow('too small');
    }
  });

  it('names what takes the room, and the fields to lower where lowering them is enough', () => {
    const { pools } = plan('none', { prefetchDepth: 1, pinnedLayers: 0, keptLayers: 0 }, plenty);
    const budgets = { ...plenty, hostBytes: pools.host.totalBytes };
    const message = messageThrownBy(() => plan('none', { keptLayers: 8 }, budgets));
    expect(message).toContain('(kept layers ');
    expect(message).toContain('lower keptLayers: the smallest budget for these batches');
    expect(() => plan('none', { prefetchDepth: 1 }, budgets)).not.toThrow();
  });

  it('refuses in one sentence before any memory is taken', () => {
    expect(() => plan('none', {}, { deviceBytes: 0, hostBytes: 0 })).toThrow(
      expect.objectContaining({ name: 'UserError' }),
    );
    expect(() => plan('none', {}, { deviceBytes: Number.NaN, hostBytes: 1e12 })).toThrow('too small');
  });
});

function messageThrownBy(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('what is left over', () => {
  it.each<StrategyName>(['none', 'specoffload'])(
    'keeps as many layers as fit, under %s, and never a byte more than the budget',
    (strategy) => {
      const base = plan(strategy, { prefetchDepth: 4, pinnedLayers: 0, keptLayers: 0 }, plenty);
      const random = createRandom(3, strategy);
      const seen = new Set<string>();
      const depths = new Set<number>();
      for (let trial = 0; trial < 60; trial += 1) {
        const budgets = {
          deviceBytes: base.pools.device.totalBytes + integer(random, 0, 6 * mebibyte),
          hostBytes: base.pools.host.totalBytes + integer(random, 0, 3 * mebibyte),
        };
        const { pools, prefetchDepth, pinnedLayers, keptLayers } = plan(strategy, {}, budgets);
        expect(pools.device.totalBytes).toBeLessThanOrEqual(budgets.deviceBytes);
        expect(pools.host.totalBytes).toBeLessThanOrEqual(budgets.hostBytes);
        seen.add(`${pinnedLayers} ${keptLayers}`);
        depths.add(prefetchDepth);
        // One more of either would not fit, or there is no layer left.
        if (pinnedLayers < config.numLayers)
          expect(() =>
            plan(strategy, { prefetchDepth, pinnedLayers: pinnedLayers + 1, keptLayers: 0 }, budgets),
          ).toThrow('device');
        if (pinnedLayers + keptLayers < config.numLayers)
          expect(() =>
            plan(strategy, { prefetchDepth, pinnedLayers, keptLayers: keptLayers + 1 }, budgets),
          ).toThrow('host');
      }
      expect(seen.size, 'different plans').toBeGreaterThan(10);
      expect(Math.max(...depths)).toBeLessThanOrEqual(8);
    },
  );

  it('reads as far ahead as a third of each budget holds, at most 8 groups', () => {
    const bufferBytes = (depth: number) => {
      const { pools } = plan('none', { prefetchDepth: depth, pinnedLayers: 0, keptLayers: 0 }, plenty);
      return new Map(pools.device.byLabel).get('device weight buffers') ?? 0;
    };
    const chosen = (deviceBytes: number) =>
      plan('none', { pinnedLayers: 0, keptLayers: 0 }, { ...plenty, deviceBytes }).prefetchDepth;
    expect(chosen(plenty.deviceBytes)).toBe(8);
    expect(chosen(3 * bufferBytes(5))).toBe(5);
    expect(chosen(3 * bufferBytes(5) - 1)).toBe(4);
  });

  it('is never more than the model has', () => {
    expect(plan('none', {}, plenty)).toMatchObject({ pinnedLayers: 8, keptLayers: 0 });
    expect(plan('none', { pinnedLayers: 0 }, plenty)).toMatchObject({ pinnedLayers: 0, keptLayers: 8 });
    expect(plan('none', { pinnedLayers: 99, keptLayers: 99 }, plenty)).toMatchObject({
      pinnedLayers: 8,
      keptLayers: 0,
    });
    expect(plan('none', { pinnedLayers: 5, keptLayers: 5 }, plenty)).toMatchObject({
      pinnedLayers: 5,
      keptLayers: 3,
    });
  });

  it('goes to layers at even distances, none of them twice', () => {
    for (let pinnedLayers = 0; pinnedLayers <= 8; pinnedLayers += 1)
      for (let keptLayers = 0; keptLayers <= 8 - pinnedLayers; keptLayers += 1) {
        const { pinned, kept } = plan('none', { pinnedLayers, keptLayers }, plenty).target;
        const pinnedOnes = layersOf(pinned);
        const keptOnes = layersOf(kept);
        expect(pinnedOnes).toHaveLength(pinnedLayers);
        expect(keptOnes).toHaveLength(keptLayers);
        expect(pinnedOnes.filter((layer) => keptOnes.includes(layer))).toEqual([]);
        const distances = pinnedOnes.slice(1).map((layer, i) => layer - pinnedOnes[i]);
        if (distances.length > 0)
          expect(Math.max(...distances) - Math.min(...distances)).toBeLessThanOrEqual(1);
      }
    expect(layersOf(plan('none', { pinnedLayers: 2, keptLayers: 2 }, plenty).target.pinned)).toEqual([2, 6]);
    expect(layersOf(plan('none', { pinnedLayers: 2, keptLayers: 2 }, plenty).target.kept)).toEqual([1, 5]);
  });

  it('saves exactly the traffic of its layers', async () => {
    const machine = plenty;
    const streamed = { pinnedLayers: 0, keptLayers: 0 };
    // Without what is already on its way, at the end, for a pass that never comes: how much depends on the moment.
    const moved = async (policy: PolicyInput) => {
      const run = { target, draft: null, prompts, strategy: 'none', maxNewTokens, machine, policy } as const;
      const { spans, passes } = await runEngine(run);
      const bytesOn = (name: 'disk' | 'link') =>
        spans
          .filter(({ lane, pass }) => lane === name && pass < passes)
          .reduce((sum, { bytes }) => sum + bytes, 0);
      return { disk: bytesOn('disk'), link: bytesOn('link') };
    };
    const all = await moved(streamed);
    const half = await moved({ pinnedLayers: 2, keptLayers: 2 });
    expect(half.disk / all.disk).toBeCloseTo(4 / 8, 2);
    expect(half.link / all.link).toBeCloseTo(6 / 8, 2);
    expect(await moved({ pinnedLayers: 8 })).toEqual({ disk: 0, link: 0 });
  });
});

describe('regions', () => {
  /** Layers that rotate alike share theirs. */
  const tables = (ofLayers: readonly RopeRegions[] | null) =>
    [...new Set(ofLayers)].flatMap(({ cos, sin }) => [cos, sin]);
  const listed = (regions: object | null): Region[] =>
    Object.values(regions ?? {}).filter((region: Region | null) => region !== null);

  const regionsOf = (
    { embedding, kept, frames, kvCache, rope, hostScratch, splitCache, ...rest }: ModelPlacement,
    cache: 'host' | 'device',
  ) => ({
    host: [
      ...[embedding, ...kept.values(), ...listed(hostScratch), ...tables(rope.host)],
      ...new Set(
        frames.flatMap(({ host, hostExperts, hostLayer }) => [host, hostExperts, hostLayer].flatMap(listed)),
      ),
      ...(cache === 'host' ? kvCache : []),
    ],
    device: [
      ...[rest.head, ...rest.pinned.values()],
      ...new Set(frames.flatMap(({ scratch }) => Object.values(scratch))),
      ...[...frames.flatMap(({ hidden, normed }) => [...hidden, normed]), ...tables(rope.device)],
      ...(cache === 'device' ? kvCache : []),
      ...(splitCache ?? []),
    ],
  });

  it.each<PolicyInput>([
    {},
    { pinnedLayers: 2, keptLayers: 3, prefetchDepth: 2, prefillBatch: 1 },
    { pinnedLayers: 0, keptLayers: 0, draftCache: 'recompute', batches: 1, candidates: 16 },
    { keptLayers: 2, experts: 'routed', hostExpertRows: 3, microBatch: 1 },
    { keptLayers: 2, experts: 'routed', hostExpertRows: 3, attention: 'device', prefillAttention: 'device' },
    { attention: 'device', cache: 'device', streaming: 'on-demand', attentionWeights: 'resident' },
    { prefillAttention: 'device', prefetchDepth: 0, pinnedLayers: 1 },
    { hostShare: 0.3, keptLayers: 1, attention: 'device', cache: 'device', prefillBatch: 1 },
    { attention: 'split', pinnedLayers: 1, prefillAttention: 'host', decodeBatch: 2, microBatch: 1 },
    { projections: 'host', pinnedLayers: 1, keptLayers: 2, experts: 'routed', hostExpertRows: 3 },
  ])('of a pool do not overlap, start on blocks and fit into it, %o', (input) => {
    const made = plan('specoffload', input, plenty);
    const { pools: planned, slots, cacheSlots, target: large, draft: small } = made;
    const targetRegions = regionsOf(large, input.cache ?? 'host');
    const draftRegions = regionsOf(small!, 'device');
    const slotsOf = (kinds: (typeof slots)[string]) =>
      new Set([...kinds.attention.regions, ...kinds.expert.regions]); // one and the same on demand
    const pools = [
      {
        pool: planned.host,
        regions: [...targetRegions.host, ...draftRegions.host, ...slotsOf(slots.host!)],
      },
      {
        pool: planned.device,
        regions: [
          ...[...targetRegions.device, ...draftRegions.device, ...slotsOf(slots.device!)],
          ...(cacheSlots?.regions ?? []),
        ],
      },
    ];
    for (const { pool, regions } of pools) {
      const sorted = [...regions].sort((a, b) => a.byteOffset - b.byteOffset);
      for (const [i, { byteOffset, byteLength }] of sorted.entries()) {
        expect(byteOffset % 4096).toBe(0);
        expect(byteOffset + byteLength).toBeLessThanOrEqual(sorted[i + 1]?.byteOffset ?? pool.allocatedBytes);
      }
      expect(pool.totalBytes).toBeGreaterThanOrEqual(pool.allocatedBytes);
      const labelled = pool.byLabel.reduce((sum, [, bytes]) => sum + bytes, 0);
      expect(labelled, 'labels account for every byte').toBe(pool.totalBytes);
    }
    expect(draftRegions.host, 'all of the draft but its embedding is on the device').toEqual([
      small!.embedding,
    ]);
  });

  it.each<PolicyInput>([
    { pinnedLayers: 0 },
    { pinnedLayers: 0, decodeBatch: 1, attention: 'device', candidates: 1 },
    { pinnedLayers: 1, keptLayers: 1, experts: 'routed', hostExpertRows: 2, draftCache: 'recompute' },
  ])('of a draft that comes after prefill lie where only prefill has anything, %o', (input) => {
    const late = plan('specoffload', { ...input, draftPlacement: 'after-prefill' }, plenty);
    const early = plan('specoffload', input, plenty);
    const { target: large, draft: small, pools: planned, slots, cacheSlots } = late;
    const { frames, firstDecodeFrame } = large;
    const always = [
      ...[large.head, ...large.pinned.values(), ...slots.device!.attention.regions],
      ...slots.device!.expert.regions,
    ];
    const ofFrames = (some: typeof frames) =>
      regionsOf({ ...large, frames: some, pinned: new Map() }, 'host').device;
    const phases = [
      [...always, ...ofFrames(frames.slice(0, firstDecodeFrame)), ...(cacheSlots?.regions ?? [])],
      [
        ...[...always, ...ofFrames(frames.slice(firstDecodeFrame)), ...regionsOf(small!, 'device').device],
        ...(input.attention === 'device' ? cacheSlots!.regions : []),
      ],
    ];
    for (const regions of phases) {
      const sorted = [...new Set(regions)].sort((a, b) => a.byteOffset - b.byteOffset);
      for (const [i, { byteOffset, byteLength }] of sorted.entries())
        expect(byteOffset + byteLength).toBeLessThanOrEqual(
          sorted[i + 1]?.byteOffset ?? planned.device.allocatedBytes,
        );
    }
    const labelled = planned.device.byLabel.reduce((sum, [, bytes]) => sum + bytes, 0);
    expect(labelled).toBe(planned.device.totalBytes);
    expect(planned.device.totalBytes).toBeLessThan(early.pools.device.totalBytes);
  });

  it('hold the caches that the sequences need', () => {
    const { target: large } = plan('none', {}, plenty);
    const tokens = prompts.reduce((sum, { length }) => sum + Math.ceil((length + maxNewTokens) / 4) * 4, 0);
    expect(cacheBytesPerToken(specOf(config), localFormats)).toBe(8 * 2 * 2 * 16 * 4); // layer, K and V, kvHead, headDim, fp32
    expect(large.kvCache.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(
      tokens * cacheBytesPerToken(specOf(config), localFormats),
    );
  });
});

describe('a KV cache that counts as more than it is', () => {
  const onDevice = { attention: 'device', cache: 'device', prefetchDepth: 1, pinnedLayers: 0 } as const;
  const total = (strategy: StrategyName, input: PolicyInput, factors: Partial<Budgets>) =>
    plan(strategy, input, { ...plenty, ...factors }).pools.device.totalBytes;
  const cacheBytes = () => plan('none', onDevice, plenty).pools.device.bytesOf('KV cache');

  it('takes so much more of the device budget, and no more memory', () => {
    const counted = plan('none', onDevice, { ...plenty, deviceCacheFactor: 5 });
    expect(total('none', onDevice, { deviceCacheFactor: 5 }) - total('none', onDevice, {})).toBe(
      4 * cacheBytes(),
    );
    expect(counted.pools.device.allocatedBytes).toBe(
      plan('none', onDevice, plenty).pools.device.allocatedBytes,
    );
    expect(counted.pools.host.totalBytes).toBe(plan('none', onDevice, plenty).pools.host.totalBytes);
  });

  it('is a wall: the run is refused with what would do, and keeps fewer layers where it fits', () => {
    const deviceBytes = total('none', onDevice, {}) + cacheBytes();
    const budgets = { ...plenty, deviceBytes, deviceCacheFactor: 5 };
    expect(() => plan('none', onDevice, budgets)).toThrow(
      /device memory budget of .* is too small.*KV cache/,
    );
    const roomy = { ...onDevice, pinnedLayers: undefined } as unknown as PolicyInput;
    const { pinnedLayers: _open, ...free } = roomy;
    const limit = { ...plenty, deviceBytes: deviceBytes + 5 * cacheBytes() };
    expect(plan('none', free, { ...limit, deviceCacheFactor: 5 }).pinnedLayers).toBeLessThan(
      plan('none', free, limit).pinnedLayers,
    );
  });

  it('counts the buffers that it crosses the link into, and nothing where it stays with the host', () => {
    const fetched = { attention: 'device', cache: 'host', prefetchDepth: 1, pinnedLayers: 0 } as const;
    const buffers = plan('none', fetched, plenty).pools.device.bytesOf('KV cache buffers');
    expect(buffers).toBeGreaterThan(0);
    expect(total('none', fetched, { deviceCacheFactor: 3 }) - total('none', fetched, {})).toBe(2 * buffers);
    const hosted = { attention: 'host', prefetchDepth: 1, pinnedLayers: 0 } as const;
    expect(total('none', hosted, { deviceCacheFactor: 3 })).toBe(total('none', hosted, {}));
  });

  it("counts a draft's cache where it is kept between rounds", () => {
    const keeping = { prefetchDepth: 1, pinnedLayers: 0, draftCache: 'resident' } as const;
    const draftBytes = plan('serial', keeping, plenty).pools.device.bytesOf('draft KV cache');
    expect(total('serial', keeping, { draftCacheFactor: 4 }) - total('serial', keeping, {})).toBe(
      3 * draftBytes,
    );
    const afresh = { ...keeping, draftCache: 'recompute' } as const;
    expect(total('serial', afresh, { draftCacheFactor: 4 })).toBe(total('serial', afresh, {}));
  });
});
