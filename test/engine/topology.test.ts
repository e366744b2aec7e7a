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
  memoryOverTime,
  type PolicyInput,
  parseChromeTrace,
  parseMachineModel,
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

describe('activations of the host', () => {
  it('may be wider than those of the device', async () => {
    const policy: PolicyInput = { ...streaming, attention: 'host', prefillAttention: 'host' };
    const beside = parseFormats('bf16-beside-fp32');
    const [narrow, wide] = [
      await simulate(usual, 'none', policy),
      await simulate({ ...usual, formats: beside }, 'none', policy),
    ];
    // q and out of 32 heads, k and v of 8, for 160 tokens: two bytes more a number.
    const more = 2 * 160 * (2 * 32 + 2 * 8) * 128;
    expect(wide.memoryBytes.host - narrow.memoryBytes.host).toBe(more);
    expect(wide.memoryBytes.device).toBe(narrow.memoryBytes.device);
  });

  const parseFormats = (formats: string) =>
    parseMachineModel(
      {
        ...{ schema: 2, name: 'm', description: 'for tests', formats },
        memories: usual.memories.map(({ name, bytes }) => ({ name, bytes })),
        lanes: usual.lanes.map((lane) => ('moves' in lane ? lane : { ...lane, cacheBytesPerSecond: 1e14 })),
      },
      'm.json',
    ).formats;
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

describe('a third memory', () => {
  const lane = (name: string, from: string, to: string, bytesPerSecond: number): Lane => ({
    ...{ ...conduct, name, moves: { from, to }, bytesPerSecond },
  });
  const [disk, link, ...computing] = usual.lanes;
  const withStop = (name: string, lanes: readonly Lane[]): MachineModel => ({
    ...{ ...usual, name, lanes: [...lanes, ...computing] },
    memories: [...usual.memories, { name: 'stage', bytes: 64e9 }],
  });
  const pooled = withStop('pooled', [
    lane('pool', 'disk', 'stage', 3e9),
    lane('fabric', 'stage', 'host', 5e9),
    link,
  ]);
  const cached = withStop('cached', [
    ...[lane('flash', 'disk', 'stage', 3e9), lane('bus', 'stage', 'device', 5e9)],
    ...[disk, link],
  ]);

  it.each([
    [pooled, ['pool', 'fabric', 'link']],
    [cached, ['flash', 'bus']],
  ])('is a stop on the way of weights: %#', async (machine, way) => {
    for (const policy of [streaming, { ...streaming, streaming: 'on-demand' } as const]) {
      const { spans: all, passes, seconds, memoryBytes } = await simulate(machine, 'none', policy);
      const spans = all.filter(({ pass }) => pass < passes); // what comes after is ahead of a pass that never is
      const groups = stagedBytes(machine, policy);
      for (const name of way) {
        const moved = spans.filter((span) => span.lane === name);
        expect(moved).toHaveLength(passes * groups.length);
      }
      const hops = new Map(
        spans.map((span) => [`${span.lane} ${span.pass} ${span.name.split(' ').at(-1)}`, span]),
      );
      for (const span of spans.filter((one) => one.lane === way.at(-1))) {
        const key = `${span.pass} ${span.name.split(' ').at(-1)}`;
        for (const [index, name] of way.slice(1).entries())
          expect(hops.get(`${name} ${key}`)!.startSeconds).toBeGreaterThanOrEqual(
            hops.get(`${way[index]} ${key}`)!.endSeconds,
          );
      }
      // As many as wait, of each kind.
      const numStaged = policy.streaming === 'on-demand' ? 1 : streaming.prefetchDepth!;
      const largest = Math.max(...groups);
      expect(memoryBytes.stage).toBeGreaterThan(numStaged * largest);
      expect(memoryBytes.stage).toBeLessThanOrEqual(2 * numStaged * largest);
      // On demand each byte crosses one lane after the other; ahead, the slowest lane decides, and how the others fill it.
      const rates = machine.lanes.flatMap((one) =>
        way.includes(one.name) && 'bytesPerSecond' in one ? [1 / one.bytesPerSecond] : [],
      );
      const perByte = policy.streaming === 'on-demand' ? sum(rates) : Math.max(...rates);
      const ratio = seconds / (passes * sum(groups) * perByte);
      expect(ratio).toBeGreaterThan(0.99);
      expect(ratio).toBeLessThan(policy.streaming === 'on-demand' ? 1.01 : 1.2);
    }
  });

  it('has a wall, too', async () => {
    await expect(simulate(withMemory(pooled, 'stage', { bytes: 2e8 }), 'none', streaming)).rejects.toThrow(
      /the stage memory budget of 200 MB is too small: this run needs .* \(stage weight buffers .*\)/,
    );
  });

  it('is passed by what the host computes with only where a way leads through the host', async () => {
    const sharing: PolicyInput = { ...streaming, hostShare: 0.25 };
    const { spans } = await simulate(cached, 'none', sharing);
    const lanesOf = (isAttention: boolean) =>
      new Set(
        spans
          .filter(({ kind }) => kind === 'load' || kind === 'upload')
          .filter(({ name }) => name.includes('attention') === isAttention)
          .map(({ lane: name }) => name),
      );
    expect(lanesOf(false)).toEqual(new Set(['disk', 'link']));
    expect(lanesOf(true)).toEqual(new Set(['flash', 'bus']));
  });
});

describe('a second device with memory of its own', () => {
  const second: readonly Lane[] = [
    {
      ...{ name: 'gpu2', computesOn: 'gpu2', serves: ['draft'], interruptsDraft: false },
      ...{ ...compute, ...conduct, overheadSeconds: 0.5 },
    },
    { name: 'link2', moves: { from: 'host', to: 'gpu2' }, ...conduct, bytesPerSecond: 2e9 },
  ];
  const machine: MachineModel = {
    ...{ ...usual, name: 'two gpus', lanes: [...usual.lanes, ...second] },
    memories: [...usual.memories, { name: 'gpu2', bytes: 20e9 }],
  };
  const policy: PolicyInput = {
    ...{ ...streaming, candidates: 2, batches: 2, decodeBatch: 2, projections: 'device' },
  };

  it.each(['start', 'after-prefill'] as const)(
    'holds all of the draft, brought at %s',
    async (draftPlacement) => {
      const given = { ...policy, draftPlacement };
      const [alone, apart] = [
        await simulate(usual, 'specoffload', given),
        await simulate(machine, 'specoffload', given),
      ];
      expect(apart.memoryBytes.gpu2).toBeGreaterThan(draft.bytes - draft.embedding.storedBytes);
      expect(apart.memoryBytes.host).toBe(alone.memoryBytes.host);
      expect(alone.memoryBytes.device - apart.memoryBytes.device).toBeGreaterThan(
        draftPlacement === 'start' ? 0.9 * draft.bytes : 0.5 * draft.bytes,
      );
      const drafts = apart.spans.filter(({ kind }) => kind === 'draft');
      expect(new Set(drafts.map(({ lane }) => lane))).toEqual(new Set(['gpu2']));
      const brought = apart.spans.filter(({ lane }) => lane === 'link2');
      if (draftPlacement === 'start') expect(brought).toEqual([]);
      else {
        expect(brought.map(({ name, bytes }) => [name, bytes])).toEqual([['upload draft', draft.bytes]]);
        expect(brought[0]!.endSeconds - brought[0]!.startSeconds).toBeCloseTo(draft.bytes / 2e9, 9);
      }
      // What memory held over time counts it where it is, from when it is there.
      const { gpu2 = [] } = memoryOverTime(apart.memoryLog);
      expect(gpu2.map(({ bytes }) => bytes)).toEqual(
        draftPlacement === 'start' ? [apart.memoryBytes.gpu2] : [0, apart.memoryBytes.gpu2],
      );
      const trace = JSON.parse(JSON.stringify(toChromeTrace(apart.spans, memoryOverTime(apart.memoryLog))));
      expect(parseChromeTrace(trace).memory.gpu2).toHaveLength(gpu2.length);
    },
  );

  it('is refused in one sentence where the draft does not fit, or no lane leads there', async () => {
    await expect(
      simulate(withMemory(machine, 'gpu2', { bytes: 8e9 }), 'specoffload', policy),
    ).rejects.toThrow(/the gpu2 memory budget of 8000 MB is too small: .*draft weights/);
    const cut = { ...machine, lanes: machine.lanes.filter(({ name }) => name !== 'link2') };
    await expect(simulate(cut, 'specoffload', policy)).rejects.toThrow(
      'no lanes lead from the memory disk to gpu2; add one with "moves": {"from": "disk", "to": "gpu2"}',
    );
  });

  it('is a machine file', () => {
    const slower = { cacheBytesPerSecond: 1e14 };
    const file = {
      ...{ schema: 2, name: 'two', description: 'two GPUs', formats: 'bf16' },
      memories: machine.memories.map(({ name, bytes }) => ({ name, bytes })),
      lanes: machine.lanes.map((lane) => ('moves' in lane ? lane : { ...lane, ...slower })),
    };

    expect(parseMachineModel(file, 'two.json').lanes).toEqual(file.lanes);
    const onDisk = {
      ...file,
      lanes: file.lanes.map((lane) => (lane.name === 'gpu2' ? { ...lane, computesOn: 'disk' } : lane)),
    };
    expect(() => parseMachineModel(onDisk, 'two.json')).toThrow(
      'invalid gpu2.computesOn: "disk"; expected a memory that lanes compute on: host, device or gpu2',
    );
  });
});

describe('a plan', () => {
  it('uses the lanes that are there, and says what more of each gains', async () => {
    const request = { ...job, target, draft: null, acceptance: null, machine: gpuDirect, numSeeds: 1 };
    const fixed: PolicyInput = {
      ...{ pinnedLayers: 0, keptLayers: 0, hostShare: 0, experts: 'all', residents: 'layers' },
    };
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
      ...['disk-to-device', 'packing'],
    ]);
    expect(gains.get('disk-to-device')).toBeGreaterThan(1.3);
    expect(gains.get('disk')).toBe(1);
  });
});
