/** Machines of other lanes than the usual four: a file says what there is, and everything that names lanes follows. */

import {
  bf16Formats,
  type Checkpoint,
  catalogSpec,
  describeModel,
  drawStrip,
  type FlatMachine,
  type Lane,
  type LanePlace,
  type MachineModel,
  type PolicyInput,
  parseChromeTrace,
  placeContender,
  planRun,
  relaxResources,
  type StrategyName,
  simulateRun,
  toChromeTrace,
  unflattenMachine,
  withMemory,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { Routes } from '../../engine/dist/topology/topology.js';

const compute: FlatMachine['device'] = {
  ...{ overheadSeconds: 0, secondsPerRow: 0, latencySeconds: 0, kinds: {}, arithmetic: [[1, 1e18]] },
  ...{ memoryBytesPerSecond: 1e15, cacheBytesPerSecond: 1e15, scoreFlopsPerSecond: 1e18 },
};

/** Only moving takes time worth speaking of. */
const usual = unflattenMachine({
  ...{ name: 'usual', description: 'for tests', formats: bf16Formats, interruptsDraft: false },
  disk: { overheadSeconds: 0, bytesPerSecond: 2e9 },
  link: { overheadSeconds: 0, bytesPerSecond: 4e9 },
  ...{ host: compute, device: compute },
  variability: { disk: 0, link: 0, host: 0, device: 0 },
  laneWidth: { disk: 1, link: 1, host: 1, device: 1 },
  memory: { deviceBytes: 24e9, hostBytes: 256e9, diskBytes: 1e12 },
});

const conduct = { variability: 0, width: 1, overheadSeconds: 0 };
const diskToDevice: Lane = {
  ...{ name: 'disk-to-device', moves: { from: 'disk', to: 'device' } },
  ...{ ...conduct, overheadSeconds: 1e-3, bytesPerSecond: 5e9 },
};
const gpuDirect: MachineModel = { ...usual, name: 'gpu direct', lanes: [...usual.lanes, diskToDevice] };

const spec = { ...catalogSpec('mixtral-8x7b'), layers: catalogSpec('mixtral-8x7b').layers.slice(0, 3) };
const target = describeModel({ name: 'target', spec });
const draft = describeModel({ name: 'draft', spec: catalogSpec('mistral-7b') });

const job = { promptLengths: [40, 40, 40, 40], maxNewTokens: 3 };
const streaming: PolicyInput = { pinnedLayers: 0, keptLayers: 0, prefetchDepth: 2 };

function simulate(machine: MachineModel, strategy: StrategyName, policy: PolicyInput) {
  const acceptance = { kind: 'rates', name: 'all', byPosition: [1] } as const;
  return simulateRun({ ...job, target, draft, strategy, policy, machine, acceptance });
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Bytes of each group that streams, as a direct read takes them from disk. */
function stagedBytes(machine: MachineModel, policy: PolicyInput): number[] {
  const { plan } = placeContender(
    { ...job, target, draft: null, acceptance: null, machine },
    { strategy: 'none', policy },
  );
  const { layouts, checkpoint } = plan.target;
  const groups = (checkpoint as Checkpoint).layers.flatMap(({ attention, experts }) => [
    attention,
    ...experts,
  ]);
  return groups.map(({ id }) => layouts.get(id)!.stagedBytes);
}

describe('a lane from disk to the device', () => {
  it('brings weights in one hop, without a stop in host memory, at its own rate', async () => {
    const { spans, phases, passes, bytesMoved, seconds, memoryBytes } = await simulate(
      gpuDirect,
      'none',
      streaming,
    );
    const groups = stagedBytes(gpuDirect, streaming);
    const byHand = groups.map((bytes) => 1e-3 + bytes / 5e9);
    const loads = spans.filter(({ kind }) => kind === 'load');
    expect(loads).toHaveLength(passes * groups.length);
    for (const [index, { lane, bytes, startSeconds, endSeconds }] of loads.entries()) {
      expect([lane, bytes]).toEqual(['disk-to-device', groups[index % groups.length]]);
      expect(endSeconds - startSeconds).toBeCloseTo(byHand[index % groups.length], 9);
    }
    expect(spans.filter(({ lane }) => lane === 'disk' || lane === 'link')).toEqual([]);
    // Nothing else takes time: the run is as long as its passes' reads, one after the other.
    expect(seconds / (passes * sum(byHand))).toBeCloseTo(1, 3);
    expect(Object.keys(phases.decode.lanes)).toEqual(['disk', 'link', 'host', 'device', 'disk-to-device']);
    const busy =
      phases.prefill.lanes['disk-to-device'].busySeconds + phases.decode.lanes['disk-to-device'].busySeconds;
    expect(busy).toBeCloseTo(passes * sum(byHand), 9);
    expect(bytesMoved).toEqual({ disk: 0, link: 0, 'disk-to-device': passes * sum(groups) });
    // No buffers wait in host memory.
    const staged = await simulate(usual, 'none', streaming);
    expect(staged.memoryBytes.host - memoryBytes.host).toBeGreaterThan(2 * Math.max(...groups));
    expect(staged.memoryBytes.device).toBe(memoryBytes.device);
  });

  it('leaves what is kept in host memory to the link', async () => {
    const { spans } = await simulate(gpuDirect, 'none', { ...streaming, keptLayers: 1 });
    const lanesOf = (kind: string) =>
      new Set(spans.filter((span) => span.kind === kind).map(({ lane }) => lane));
    expect([lanesOf('load'), lanesOf('upload')]).toEqual([new Set(['disk-to-device']), new Set(['link'])]);
  });

  it('is a row of the trace, of its picture and of what is read back', async () => {
    const { spans } = await simulate(gpuDirect, 'none', streaming);
    const trace = JSON.parse(JSON.stringify(toChromeTrace(spans)));
    const names = trace.traceEvents.flatMap((event: { name: string; args: { name: string } }) =>
      event.name === 'thread_name' ? [event.args.name] : [],
    );
    expect(names).toEqual(['host', 'device', 'disk-to-device']);
    const reread = parseChromeTrace(trace).spans;
    expect(reread.map(({ id, lane }) => [id, lane])).toEqual(spans.map(({ id, lane }) => [id, lane]));
    const strip = drawStrip(spans, { startSeconds: 0, endSeconds: spans.at(-1)!.endSeconds }, 10);
    expect(strip.map(({ name }) => name)).toEqual(['host', 'device', 'disk-to-device']);
    expect(strip.at(-1)!.text).toMatch(/^█{9}/);
  });
});

describe('a second link', () => {
  const uplink: Lane = {
    ...{ name: 'uplink', moves: { from: 'device', to: 'host' } },
    ...{ ...conduct, bytesPerSecond: 1e8 },
  };
  const duplex: MachineModel = { ...usual, name: 'duplex', lanes: [...usual.lanes, uplink] };
  const policy: PolicyInput = {
    ...streaming,
    cache: 'host',
    attention: 'device',
    prefillAttention: 'device',
  };

  it('takes the cache back to host memory while weights and cache go the other way', async () => {
    const { spans, phases } = await simulate(duplex, 'none', policy);
    const lanesOf = (kind: string) =>
      new Set(spans.filter((span) => span.kind === kind).map(({ lane }) => lane));
    expect([lanesOf('store'), lanesOf('fetch'), lanesOf('upload')]).toEqual([
      new Set(['uplink']),
      new Set(['link']),
      new Set(['link']),
    ]);
    // Keys and values of one token in each of three layers: 2 x 8 heads x 128 numbers of two bytes.
    const prompts = 4 * 40 * 3 * (2 * 8 * 128 * 2);
    expect(phases.prefill.lanes.uplink).toMatchObject({ bytes: prompts, numTasks: 3 });
    expect(phases.prefill.lanes.uplink!.busySeconds).toBeCloseTo(prompts / 1e8, 9);
  });
});

describe('a second device lane', () => {
  const drafter: Lane = {
    ...{ name: 'draft-device', computesOn: 'device', serves: ['draft'], interruptsDraft: false },
    ...{ ...compute, ...conduct, overheadSeconds: 0.5 },
  };
  const two: MachineModel = { ...usual, name: 'two devices', lanes: [...usual.lanes, drafter] };

  it('drafts beside the one that verifies, as long as its own overhead says', async () => {
    const policy: PolicyInput = {
      ...streaming,
      candidates: 2,
      batches: 2,
      decodeBatch: 2,
      projections: 'device',
    };
    const { spans, phases } = await simulate(two, 'specoffload', policy);
    const drafts = spans.filter(({ kind }) => kind === 'draft');
    expect(drafts.length).toBeGreaterThan(0);
    for (const { lane, startSeconds, endSeconds } of drafts) {
      expect(lane).toBe('draft-device');
      expect(endSeconds - startSeconds).toBeCloseTo(0.5, 3);
    }
    expect(phases.decode.lanes['draft-device']).toMatchObject({ bytes: 0, numTasks: drafts.length });
    expect(phases.decode.lanes['draft-device'].busySeconds).toBeCloseTo(0.5 * drafts.length, 2);
    const others = spans.filter(({ lane, kind }) => lane === 'device' && kind === 'draft');
    expect(others).toEqual([]);
  });
});

describe('a memory that is handed out in large pieces', () => {
  it('counts every thing in it as so many of them', async () => {
    const granularityBytes = 2 ** 28;
    const coarse = withMemory(usual, 'device', { granularityBytes });
    const [{ memoryBytes: plain }, { memoryBytes }] = [
      await simulate(usual, 'none', streaming),
      await simulate(coarse, 'none', streaming),
    ];
    expect(memoryBytes.device).toBeGreaterThan(plain.device + granularityBytes);
    expect(memoryBytes.host).toBe(plain.host);
    // As many layers stay as fit, whole pieces counted.
    const { policy, memoryBytes: filled } = await simulate(coarse, 'none', {});
    expect(policy.pinnedLayers).toBeGreaterThan(0);
    expect(filled.device).toBeLessThanOrEqual(24e9);
  });
});

describe('routes', () => {
  const lanes: readonly LanePlace[] = [
    { name: 'disk', moves: { from: 'disk', to: 'pool' } },
    { name: 'fabric', moves: { from: 'pool', to: 'host' } },
    { name: 'link', moves: { from: 'host', to: 'device' } },
    { name: 'cache link', moves: { from: 'host', to: 'device' }, serves: ['fetch', 'store'] },
    { name: 'device', computesOn: 'device' },
  ];
  const routes = new Routes(lanes);

  it('are the fewest hops, and go back over a lane where no other does', () => {
    expect(routes.way('disk', 'device').map(({ lane, to }) => `${lane} to ${to}`)).toEqual([
      ...['disk to pool', 'fabric to host', 'link to device'],
    ]);
    expect(routes.moving('store', 'device', 'host')).toBe('cache link');
    expect(routes.moving('upload', 'host', 'device')).toBe('link');
    expect(routes.moving('load', 'disk', 'device')).toBeUndefined();
  });

  it('are missed in one sentence', () => {
    expect(() => routes.way('device', 'disk')).toThrow(
      /no lanes lead from the memory device to disk; add one with/,
    );
    expect(() => routes.computing('attention', 'host')).toThrow(
      'no lane computes attention on the memory host; add one with "computesOn": "host"',
    );
  });
});

describe('who cannot follow says so', () => {
  it('schedules, of weights that stop anywhere but in host memory', async () => {
    const [, ...others] = usual.lanes;
    const pool: Lane = { ...conduct, name: 'pool', moves: { from: 'disk', to: 'pool' }, bytesPerSecond: 1e9 };
    const fabric: Lane = {
      ...conduct,
      name: 'fabric',
      moves: { from: 'pool', to: 'host' },
      bytesPerSecond: 1e9,
    };
    const machine = { ...usual, name: 'pooled', lanes: [pool, fabric, ...others] };
    await expect(simulate(machine, 'none', streaming)).rejects.toThrow(
      /weights would pass pool, host, device on their way from disk; expected a stop in host memory at most/,
    );
  });
});

describe('a plan', () => {
  it('uses the lanes that are there, and says what more of each gains', async () => {
    const request = { ...job, target, draft: null, acceptance: null, machine: gpuDirect, numSeeds: 1 };
    const fixed: PolicyInput = { pinnedLayers: 0, keptLayers: 0, hostShare: 0, experts: 'all' };
    const plan = await planRun({ ...request, fixed });
    expect(plan.ranked[0].busiest.lane).toBe('disk-to-device');
    const relaxed = await relaxResources({ ...request, fixed }, plan);
    const gains = new Map(
      relaxed.map(({ resource, tokensPerSecondBySeed: [more], baselineBySeed: [base] }) => [
        resource,
        more / base,
      ]),
    );
    expect([...gains.keys()]).toEqual([
      ...['link', 'host arithmetic', 'device arithmetic', 'device memory', 'host memory', 'disk'],
      'disk-to-device',
    ]);
    expect(gains.get('disk-to-device')).toBeGreaterThan(1.3);
    expect(gains.get('disk')).toBe(1);
  });
});
