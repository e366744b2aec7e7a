import {
  type Acceptance,
  averageRates,
  catalogSpec,
  changedArithmetic,
  changedKinds,
  computeLane,
  countHeads,
  createCostModel,
  createRandom,
  describeCatalogModel,
  describeModel,
  expectedTokens,
  type FlatMachine,
  type IdleCause,
  interpolate,
  type MachineModel,
  memoryOverTime,
  type PolicyInput,
  parseAcceptance,
  releasedExpectedTokens,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  unflattenMachine,
  withBudgets,
  withLane,
  withMemory,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { decodingOf } from '../../engine/dist/machine/decoding.js';
import {
  bf16Formats,
  fp32Formats,
  localFormats,
  plannedBf16Formats,
} from '../../engine/dist/machine/formats.js';
import type { Task } from '../../engine/dist/schedule/task.js';
import { createOracle } from '../../engine/dist/speculate/acceptance.js';

const lane = {
  overheadSeconds: 1e-5,
  secondsPerRow: 0,
  latencySeconds: 0,
  kinds: {},
};

/** Something like an RTX 4090 behind PCIe 3. */
const flat: FlatMachine = {
  name: 'test',
  description: 'for tests',
  disk: { overheadSeconds: 0, bytesPerSecond: 3.5e9 },
  link: {
    overheadSeconds: 0,
    bytesPerSecond: 11e9,
    pageableBytesPerSecond: 6e9,
    cacheBytesPerSecond: 8e9,
  },
  host: {
    ...lane,
    arithmetic: [[1, 1e12]],
    memoryBytesPerSecond: 60e9,
    cacheBytesPerSecond: 20e9,
    scoreFlopsPerSecond: 5e11,
  },
  device: {
    ...lane,
    arithmetic: [
      [1, 1e12],
      [128, 100e12],
    ],
    memoryBytesPerSecond: 1e12,
    cacheBytesPerSecond: 800e9,
    scoreFlopsPerSecond: 3e13,
  },
  interruptsDraft: true,
  variability: { disk: 0, link: 0, host: 0, device: 0 },
  laneWidth: { disk: 1, link: 1, host: 1, device: 2 },
  memory: { deviceBytes: 24e9, hostBytes: 256e9, diskBytes: 1e12 },
  formats: bf16Formats,
};
const machine = unflattenMachine(flat);

/** The same with a link that is never in the way, so that the draft and the host are. */
const fastLink = withLane(machine, 'link', { bytesPerSecond: 1e13 });

const target = describeModel({ name: 'target', spec: catalogSpec('mixtral-8x7b') });
const draft = describeModel({ name: 'draft', spec: catalogSpec('llama-3.2-1b') });
const sameVocabulary = { ...draft, spec: { ...draft.spec, vocabSize: target.spec.vocabSize } };

function request(strategy: StrategyName, policy: PolicyInput = {}, changes: Partial<SimulationRequest> = {}) {
  return {
    ...{ target, draft: sameVocabulary, strategy, machine },
    policy: { prefillAttention: 'device', prefillBatch: 16, ...policy },
    promptLengths: new Array<number>(64).fill(200),
    maxNewTokens: 16,
    acceptance: { kind: 'rates', name: 'constant', byPosition: [0.7] },
    ...changes,
  } satisfies SimulationRequest;
}

describe('a prediction', () => {
  it.each<StrategyName>([
    'none',
    'serial',
    'specoffload',
    'accelerate',
    'deepspeed',
    'flexgen',
    'fiddler',
    'hetegen',
  ])('of %s yields every token, and the same again for the same seed', async (strategy) => {
    const policy: PolicyInput = strategy === 'none' ? {} : { candidates: 3 };
    const first = await simulateRun(request(strategy, policy));
    expect(first.newTokens).toBe(64 * 16);
    expect(first.seconds).toBeGreaterThan(0);
    expect(await simulateRun(request(strategy, policy))).toEqual(first);
  });

  it('with kept layers in place has none of them cross in decode, and kernels read at the rate of the link', async () => {
    const { spans } = await simulateRun(
      request('none', { keptExperts: 'in-place', keptAttention: 'in-place', pinnedLayers: 0 }),
    );
    const decode = spans.filter(({ phase }) => phase === 'decode');
    expect(decode.filter(({ kind }) => kind === 'upload')).toEqual([]);
    const used = decode.filter(({ kind }) => kind === 'expert');
    expect(used.length).toBeGreaterThan(32);
    const leastSeconds = target.layers[0]!.experts[0]!.storedBytes / 11e9;
    for (const { startSeconds, endSeconds } of used)
      expect(endSeconds - startSeconds).toBeGreaterThan(0.999 * leastSeconds);
  });

  it('takes longer for weights that stay where they are, and not for those that have just come', async () => {
    const secondsPerByte = 1e-10;
    const policy = { pinnedLayers: 2, keptLayers: 3 };
    const inFull = { prefillOrder: 'layer-major', ...policy } as const;
    const busy = async (lane: 'link' | 'device') => {
      const cold = { secondsPerByte, afterSeconds: 0.1 };
      const outcomes = [withLane(machine, lane, { cold }), machine].map((one) =>
        simulateRun(request('accelerate', inFull, { machine: one, draft: null })),
      );
      const [late, plain] = await Promise.all(outcomes);
      const seconds = ({ phases }: typeof late) => phases.decode.lanes[lane]!.busySeconds;
      return (seconds(late!) - seconds(plain!)) / (15 * secondsPerByte);
    };
    const [{ attention, experts }] = target.layers as [(typeof target.layers)[number]];
    const ofExperts = experts.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    // With nothing ahead of its turn, a group is used as soon as it is there, and copied as soon as it is read.
    expect((await busy('device')) / (2 * ofExperts)).toBeCloseTo(1, 2);
    expect((await busy('link')) / (3 * (ofExperts + attention.storedBytes))).toBeCloseTo(1, 2);
  });

  it('copies a kept group that lies across two imported pieces, and no other', async () => {
    const dense = describeModel({ name: 'dense', spec: catalogSpec('mistral-7b') });
    const hostReach = { bankBytes: 2 ** 32, pieceBytes: 2 ** 30 };
    const formats = { ...plannedBf16Formats, hostReach };
    const { spans } = await simulateRun(
      request(
        'none',
        { keptExperts: 'in-place', pinnedLayers: 0 },
        { target: dense, draft: null, machine: { ...machine, formats } },
      ),
    );
    const copied = new Set(
      spans.flatMap(({ phase, name }) =>
        phase === 'decode' && /^upload layer\.\d+\.ffn$/.test(name) ? [name] : [],
      ),
    ).size;
    // Layers lie one behind the other: an FFN meets the end of a piece as often as it is a part of one.
    const share = dense.layers[0]!.experts[0]!.storedBytes / hostReach.pieceBytes;
    expect(copied / dense.layers.length).toBeCloseTo(share, 1);
  });

  it('without speculation makes one pass per token, and moves what does not stay over the link in each', async () => {
    const { passes, phases, bytesMoved } = await simulateRun(
      request('none', { pinnedLayers: 0, prefillOrder: 'layer-major' }),
    );
    expect(passes).toBe(16);
    const layerBytes = target.bytes - 2 * target.spec.vocabSize * target.spec.hiddenSize * 2;
    // One prefill, 15 decoding passes, the start of one that never comes; the cache's way to the host.
    expect(bytesMoved.link / layerBytes).toBeGreaterThan(16);
    expect(bytesMoved.link / layerBytes).toBeLessThan(16.7);
    expect(bytesMoved.disk).toBe(0);
    // All but what prefill has left in the buffers.
    expect(phases.decode.seconds).toBeGreaterThan((14.9 * layerBytes) / 11e9);
    expect(phases.decode.lanes.link.utilization).toBeGreaterThan(0.95);
  });

  it('of serial speculation makes as many passes as its acceptance says', async () => {
    const tokens = (rate: number) =>
      simulateRun(
        request(
          'serial',
          { candidates: 4 },
          { acceptance: { kind: 'rates', name: 'r', byPosition: [rate] } },
        ),
      );
    const never = await tokens(0);
    const always = await tokens(1);
    expect(never.passes).toBe(16);
    expect(never.acceptance?.tokensPerRound).toBe(1);
    expect(always.passes).toBe(1 + Math.ceil(15 / 5));
    const { acceptance } = await tokens(0.7);
    const expected = expectedTokens({ kind: 'rates', name: 'r', byPosition: [0.7] }, 4);
    // Rounds at a sequence's end are cut short.
    expect(acceptance?.tokensPerRound).toBeGreaterThan(expected * 0.85);
    expect(acceptance?.tokensPerRound).toBeLessThan(expected * 1.02);
  });

  it('replays a recorded acceptance token for token, whatever the candidates', async () => {
    // Every second new token is one that the draft gets wrong.
    const runs = Array.from({ length: 16 }, (_, position) => (position % 2 === 0 ? 1 : 0));
    const acceptance: Acceptance = {
      ...{ kind: 'recorded', name: 'recorded', candidates: 8, newTokens: 16 },
      sequences: Array.from({ length: 64 }, () => runs),
    };
    for (const candidates of [1, 2, 8]) {
      const { passes } = await simulateRun(request('serial', { candidates }, { acceptance }));
      // From 1 on (prefill): 1 rejected -> 2, then 1 of 2 accepted -> 4, 6, … 16.
      expect(passes).toBe(1 + 1 + 7);
    }
  });

  it("counts tokens both ways: the surplus of those who wait for their batch's slowest is not useful", async () => {
    const useful = await simulateRun(request('serial', { candidates: 4 }));
    const published = await simulateRun(request('serial', { candidates: 4, ending: 'slowest' }));
    expect(useful.generatedTokens).toBe(useful.newTokens);
    expect(published.newTokens).toBe(useful.newTokens);
    expect(published.generatedTokens / published.newTokens).toBeGreaterThan(1.1);
    expect(published.generatedTokens / published.newTokens).toBeLessThan(2);
  });

  it.each<{ title: string; policy: PolicyInput; on: MachineModel; cause: IdleCause }>([
    { title: 'a slow link as weights', on: machine, policy: { pinnedLayers: 0 }, cause: 'weights' },
    {
      title: 'a slow host as attention',
      on: withLane(fastLink, 'host', { cacheBytesPerSecond: 1e8 }),
      policy: {},
      cause: 'attention',
    },
    {
      title: 'results of the draft that come late as the draft',
      on: withLane(fastLink, 'device', { kinds: { draft: { latencySeconds: 1 } } }),
      policy: { speculation: 'serial' },
      cause: 'draft',
    },
  ])('charges the idle time of the device: $title', async ({ policy, on, cause }) => {
    const strategy = policy.speculation ? 'serial' : 'none';
    const { phases } = await simulateRun(request(strategy, policy, { machine: on }));
    const { seconds, lanes, deviceIdle } = phases.decode;
    const idleSeconds = Object.values(deviceIdle).reduce((sum, part) => sum + part, 0);
    expect(idleSeconds).toBeCloseTo(seconds - lanes.device.busySeconds, 9);
    expect(deviceIdle[cause] / idleSeconds).toBeGreaterThan(0.8);
  });

  it.each<StrategyName>(['none', 'specoffload', 'deepspeed', 'flexgen'])(
    'of %s shows memory that never exceeds its peak',
    async (strategy) => {
      const policy: PolicyInput = strategy === 'specoffload' ? { draftPlacement: 'after-prefill' } : {};
      const { memoryLog, memoryBytes, seconds } = await simulateRun(request(strategy, policy));
      const overTime = memoryOverTime(memoryLog);
      for (const pool of ['device', 'host'] as const) {
        const steps = overTime[pool];
        const peakBytes = Math.max(...steps.map(({ bytes }) => bytes));
        expect(peakBytes).toBeLessThanOrEqual(memoryBytes[pool]);
        // Nearly all that was planned is used at some time; the alignment of buffers is not.
        expect(peakBytes).toBeGreaterThan(0.9 * memoryBytes[pool]);
        expect(steps[0].seconds).toBe(0);
        expect(steps.at(-1)!.seconds).toBeLessThanOrEqual(seconds);
      }
    },
  );

  it('costs time in proportion to its rounds', async () => {
    const spansOf = async (maxNewTokens: number) =>
      (await simulateRun(request('none', {}, { maxNewTokens }))).spans.length;
    const [ten, twenty, forty] = await Promise.all([spansOf(10), spansOf(20), spansOf(40)]);
    expect((forty! - twenty!) / (twenty! - ten!)).toBeCloseTo(2, 5);
  });

  it.each<{
    title: string;
    slower: PolicyInput;
    faster: PolicyInput;
    strategy: StrategyName;
    on?: MachineModel;
  }>([
    {
      title: 'a kept draft cache',
      on: fastLink,
      strategy: 'serial',
      slower: { draftCache: 'recompute' },
      faster: { draftCache: 'resident' },
    },
    {
      title: 'a window',
      on: fastLink,
      strategy: 'serial',
      slower: { draftCache: 'recompute' },
      faster: { draftCache: 'window', draftWindow: 32 },
    },
    {
      title: 'projections on the device',
      on: fastLink,
      strategy: 'none',
      slower: { projections: 'host' },
      faster: { projections: 'device' },
    },
    {
      title: 'layer-major prefill',
      strategy: 'none',
      slower: { prefillOrder: 'batch-major' },
      faster: { prefillOrder: 'layer-major' },
    },
    {
      title: 'reading ahead',
      strategy: 'none',
      slower: { prefetchDepth: 0 },
      faster: { prefetchDepth: 2 },
    },
    {
      title: 'refilled places',
      strategy: 'serial',
      slower: { decodeBatch: 16, refill: 'no' },
      faster: { decodeBatch: 16, refill: 'yes' },
    },
    {
      title: 'page-locked memory',
      strategy: 'none',
      slower: { pageLocked: 0 },
      faster: { pageLocked: 1 },
    },
  ])('says that $title is faster', async ({ strategy, slower, faster, on = machine }) => {
    const speed = async (policy: PolicyInput) =>
      (await simulateRun(request(strategy, { candidates: 4, pinnedLayers: 0, ...policy }, { machine: on })))
        .tokensPerSecond;
    expect(await speed(faster)).toBeGreaterThan(await speed(slower));
  });

  it('hides drafting behind verification when it drafts ahead and is right', async () => {
    const always: Acceptance = { kind: 'rates', name: 'always', byPosition: [1] };
    const speed = async (speculation: 'serial' | 'ahead') =>
      (
        await simulateRun(
          request('serial', { candidates: 4, speculation }, { acceptance: always, machine: fastLink }),
        )
      ).seconds;
    expect(await speed('ahead')).toBeLessThan(await speed('serial'));
  });

  it('loads only experts that some row chose, and computes unpopular ones on the host', async () => {
    const experts = describeModel({ name: 'experts', spec: catalogSpec('mixtral-8x7b'), unit: 'expert' });
    const few = { promptLengths: [50, 50], target: experts, maxNewTokens: 4 };
    const moved = async (policy: PolicyInput) =>
      (await simulateRun(request('fiddler', { pinnedLayers: 0, ...policy }, few))).phases.decode.lanes;
    const routed = await moved({ hostExpertRows: 0 });
    const all = await moved({ experts: 'all', hostExpertRows: 0 });
    // Two rows choose 2 of 8 experts each: 3.5 different ones on average.
    expect(routed.link.bytes / all.link.bytes).toBeGreaterThan(3 / 8);
    expect(routed.link.bytes / all.link.bytes).toBeLessThan(4 / 8);
    const host = await moved({ hostExpertRows: 10 });
    expect(host.link.bytes).toBe(0);
    expect(host.host.busySeconds).toBeGreaterThan(routed.host.busySeconds);
  });
});

describe('software that copies the KV cache', () => {
  const headsOf = (name: string) => countHeads(catalogSpec(name));
  const heads = headsOf('mixtral-8x7b');
  const traffic = (fixed: number, perHead: number) => ({ cacheTraffic: { fixed, perHead } });
  const task = (kind: 'attention' | 'fetch' | 'draft', lane: 'host' | 'link' | 'device') =>
    ({
      ...{
        kind,
        lane,
        rows: 0,
        productRows: 0,
        flops: 0,
        scoreFlops: 0,
        linkBytes: 0,
        numParts: 1,
        isPageable: false,
      },
      ...(lane === 'link' ? { bytes: 1e9, cacheBytes: 0 } : { bytes: 0, cacheBytes: 1e9 }),
    }) as unknown as Task;
  const free = { ...lane, overheadSeconds: 0 };
  const copying = unflattenMachine({
    ...flat,
    link: { ...flat.link, ...traffic(0, 1) },
    host: { ...flat.host, ...free, ...traffic(3, 2) },
    device: { ...flat.device, ...free, ...traffic(3, 2), kinds: { draft: traffic(1, 0) } },
  });

  it.each<{ model: string; sharing: number }>([
    { model: 'mixtral-8x7b', sharing: 4 },
    { model: 'mixtral-8x22b', sharing: 6 },
  ])('moves more bytes for $model, where $sharing heads share a KV head', ({ model, sharing }) => {
    const costs = createCostModel(copying, headsOf(model), headsOf('mistral-7b'));
    expect(costs.secondsOf(task('attention', 'host'))).toBeCloseTo(((3 + 2 * sharing) * 1e9) / 20e9);
    expect(costs.secondsOf(task('fetch', 'link'))).toBeCloseTo((sharing * 1e9) / 8e9);
    expect(costs.secondsOf(task('attention', 'device'))).toBeCloseTo(((3 + 2 * sharing) * 1e9) / 800e9);
    expect(costs.secondsOf(task('draft', 'device'))).toBeCloseTo(1e9 / 800e9);
  });

  it('costs nothing where a machine file does not speak of it', () => {
    expect(createCostModel(machine, heads).secondsOf(task('fetch', 'link'))).toBe(1e9 / 8e9);
  });
});

describe('weights that have to be decoded', () => {
  const heads = countHeads(catalogSpec('mistral-7b'));
  type Format = 'q4_k' | 'int4' | 'bf16' | 'bf16_packed';
  const of = (format: Format, formats = localFormats) =>
    decodingOf(describeCatalogModel('mistral-7b', 'ffn', format), formats);
  const task = (kind: 'expert' | 'upload', lane: string) =>
    ({
      kind,
      lane,
      rows: 2,
      productRows: 2,
      flops: 4e9,
      bytes: 1e9,
      numParts: 1,
      cacheBytes: 0,
      linkBytes: 0,
    }) as unknown as Task;
  const rates = { decoding: { q4_k: 5e9, int4: 1e9 } };
  const plain = { ...machine, lanes: machine.lanes.map((lane) => ({ ...lane, overheadSeconds: 0 })) };
  const decoding = { ...plain, lanes: plain.lanes.map((lane) => ({ ...lane, ...rates })) };
  const seconds = (kind: 'expert' | 'upload', lane: string, format: Format, formats = localFormats) =>
    [plain, decoding].map((on) =>
      createCostModel(on, { ...heads, decoding: of(format, formats) }).secondsOf(task(kind, lane)),
    ) as [number, number];

  it('take their time in products where memory keeps them as stored, once for all rows', () => {
    const [without, with_] = seconds('expert', 'device', 'q4_k');
    expect(with_ - without).toBeCloseTo(1e9 / 5e9, 6);
    const [free, same] = seconds('expert', 'device', 'bf16');
    expect(same).toBe(free);
    const [apart, decoded] = seconds('expert', 'device', 'int4');
    expect(decoded - apart).toBeCloseTo((1e9 * 1) / 1e9, 6);
  });

  it('are unpacked as fast as the memory would deliver bf16 where nobody says how fast', () => {
    const { memoryBytesPerSecond } = flat.device;
    const [free] = seconds('expert', 'device', 'bf16');
    for (const packed of seconds('expert', 'device', 'bf16_packed', bf16Formats))
      expect(packed - free).toBeCloseTo((1e9 * 2) / memoryBytesPerSecond, 6);
    expect(of('bf16_packed').onLink).toBeNull();
  });

  it('take it on the link where they are decoded there, if that is longer than crossing', () => {
    const [without, with_] = seconds('upload', 'link', 'int4', fp32Formats);
    expect(without).toBeLessThan(with_);
    expect(with_).toBeCloseTo((1e9 * 8) / 4.125 / 1e9, 6);
    expect(of('int4', bf16Formats).onLink).toBeNull(); // a GPU of a prediction keeps everything
    expect(of('int4', bf16Formats).byKind.expert).toBe('int4');
  });
});

describe('a target that host memory does not hold', () => {
  const hostBytes = 60e9; // of 93 GB
  const withPageCache = unflattenMachine({
    ...flat,
    disk: { ...flat.disk, pageableBytesPerSecond: 1.75e9 },
    memory: { ...flat.memory, hostBytes, hasPageCache: true },
  });
  const simulate = (pageLocked: number, on: MachineModel) =>
    simulateRun(request('none', { pinnedLayers: 0, pageLocked }, { machine: on }));

  it("loses all of its pageable half to the page cache in every pass, and reads it at the cache's rate", async () => {
    const { policy, spans } = await simulate(0.5, withPageCache);
    expect(policy.keptLayers).toBe(16);
    const loads = spans.filter(({ lane, pass }) => lane === 'disk' && pass === 1);
    expect(new Set(loads.map(({ name }) => Number(name.split('.')[1])))).toEqual(
      new Set(Array.from({ length: 16 }, (_, layer) => 16 + layer)),
    );
    for (const { bytes, startSeconds, endSeconds } of loads)
      expect(endSeconds - startSeconds).toBeCloseTo(bytes / 1.75e9);
  });

  it('keeps what fits where all weights are page-locked, or reads are direct', async () => {
    const locked = await simulate(1, withPageCache);
    const direct = await simulate(0.5, withBudgets(machine, { hostBytes }));
    for (const { policy } of [locked, direct]) expect(policy.keptLayers).toBeGreaterThan(16);
    expect(locked.tokensPerSecond).toBeGreaterThan(
      1.5 * (await simulate(0.5, withPageCache)).tokensPerSecond,
    );
  });

  it('keeps all of a target that fits', async () => {
    const roomy = withMemory(withPageCache, 'host', { bytes: flat.memory.hostBytes });
    expect((await simulate(0.5, roomy)).policy.keptLayers).toBe(32);
  });
});

describe('an impossible prediction', () => {
  it.each<{ title: string; changes: () => SimulationRequest; message: RegExp }>([
    {
      title: 'a policy that cannot fit',
      changes: () => request('serial', { draftBatch: 64, decodeBatch: 64, prefetchDepth: 8 }),
      message: /the device memory budget of .* is too small: this run needs .* MB/,
    },
    {
      title: 'a model that must fit and does not',
      changes: () => request('apex'),
      message: /the device memory budget of 24000 MB is too small: this run needs 99417 MB \(pinned layers/,
    },
    {
      title: 'no acceptance',
      changes: () => request('serial', {}, { acceptance: null }),
      message: /the strategy serial speculates, so its prediction needs an acceptance; give rates/,
    },
    {
      title: 'too few positions',
      changes: () =>
        request(
          'serial',
          { candidates: 4 },
          { acceptance: { kind: 'rates', name: 'short', byPosition: [1, 1] } },
        ),
      message:
        /the acceptance short does not match this run: it has 2 positions, the run needs 4 candidates; give/,
    },
    {
      title: 'a trace of other prompts',
      changes: () =>
        request(
          'serial',
          { candidates: 2 },
          { acceptance: { kind: 'recorded', name: 'other', candidates: 4, newTokens: 16, sequences: [[1]] } },
        ),
      message:
        /the acceptance other does not match this run: it has 1 sequences, the run needs 64; record it on/,
    },
  ])('$title is refused in one sentence', async ({ changes, message }) => {
    await expect(simulateRun(changes())).rejects.toThrow(message);
    await expect(simulateRun(changes())).rejects.toMatchObject({ name: 'UserError' });
  });
});

describe('parseAcceptance', () => {
  it.each([
    [[], /invalid content: \[\]; expected an object/],
    [{ kind: 'guess' }, /invalid kind: "guess"; expected rates or recorded/],
    [
      { kind: 'rates', byPosition: [] },
      /invalid byPosition: \[\]; expected a list of 1 to 64 rates; correct the acceptance file/,
    ],
    [{ kind: 'rates', byPosition: [1.2] }, /invalid byPosition.0: 1.2; expected a number from 0 to 1/],
    [{ kind: 'recorded', candidates: 0 }, /invalid candidates: 0; expected a whole number from 1 to 64/],
    [
      { kind: 'recorded', candidates: 2, newTokens: 3, sequences: [[3]] },
      /invalid sequences: \[\[3\]\]; expected lists of at most 3 numbers of at most 2,/,
    ],
    [
      { kind: 'recorded', candidates: 2, newTokens: 3, sequences: [[1.5]] },
      /invalid sequences.0.0: 1.5; expected a whole/,
    ],
    [
      { kind: 'recorded', candidates: 2, newTokens: 1, sequences: [[2, 0]] },
      /invalid sequences: \[\[2,0\]\]; expected lists of at most 1 numbers/,
    ],
    ...[[[2, 2], [2]], [[2]], [[1, 2]], [[3, 2]]].map((proposed): [object, RegExp] => [
      { kind: 'recorded', candidates: 2, newTokens: 2, sequences: [[2, 0]], proposed },
      /invalid proposed: .*; expected as many lists of as many numbers as sequences has, each from as many as stand/,
    ]),
    ...[[[0, 1], [1]], [[0]], []].map((ranks): [object, RegExp] => [
      { kind: 'recorded', candidates: 2, newTokens: 2, sequences: [[2, 0]], ranks },
      /invalid ranks: .*; expected as many lists of as many numbers as sequences has; correct/,
    ]),
  ])('refuses %o', (json, message) => {
    expect(() => parseAcceptance(json, 'a.json')).toThrow(message);
  });

  it('takes what it describes', () => {
    const recorded = { kind: 'recorded', name: 'x', candidates: 2, newTokens: 2, sequences: [[2, 0]] };
    expect(parseAcceptance(recorded, 'a.json')).toEqual(recorded);
    expect(averageRates(recorded as never).byPosition).toEqual([0.5, 1]);
  });
});

describe('expected tokens', () => {
  it('are the sum of the chances, which the released planner falls short of', () => {
    const rates = { kind: 'rates', name: 'p', byPosition: [0.9] } as const;
    // The two values that the released script and Leviathan's equation 1 give for p = 0.9 and 8 candidates.
    expect(expectedTokens(rates, 8)).toBeCloseTo((1 - 0.9 ** 9) / (1 - 0.9), 10);
    expect(expectedTokens(rates, 8)).toBeCloseTo(6.13, 2);
    expect(releasedExpectedTokens(0.9, 8)).toBeCloseTo(3.03, 2);
    expect(releasedExpectedTokens(1, 8)).toBe(1);
  });
});

describe('a cost model', () => {
  it('lets the time per product change linearly between two row counts, and rates stand still outside', () => {
    const rate = interpolate([
      [2, 1e9],
      [10, 2e9],
    ]);
    expect(rate(1)).toBe(1e9);
    expect(rate(10)).toBe(2e9);
    expect(rate(100)).toBe(2e9);
    // 6 rows take half of what 2 and 10 take together.
    expect(6 / rate(6)).toBeCloseTo((2 / 1e9 + 10 / 2e9) / 2, 15);
  });
});

describe('reading prompts on more cores', () => {
  const model = unflattenMachine(flat);
  const device = computeLane(model, 'device');
  const twice = { arithmetic: device.arithmetic.map(([rows, rate]) => [rows, 2 * rate] as const) };

  it('takes what it says of a kind of task then, and nothing of it later', async () => {
    const faster = withLane(model, 'device', { prefill: { expert: twice, mix: twice } });
    const heads = countHeads(catalogSpec('mixtral-8x7b'));
    const [plain, early] = [model, faster].map((machine) => createCostModel(machine, heads));
    const task = (kind: 'expert' | 'head', phase: 'prefill' | 'decode') => ({
      ...{ lane: 'device', kind, phase, rows: 64, productRows: 64, flops: 1e13, bytes: 0 },
      ...{ scoreFlops: 0, cacheBytes: 0, linkBytes: 0, numParts: 1, isPageable: false },
    });
    const ratio = (...asked: Parameters<typeof task>) =>
      (early.secondsOf(task(...asked)) - device.overheadSeconds) /
      (plain.secondsOf(task(...asked)) - device.overheadSeconds);
    expect(ratio('expert', 'prefill')).toBeCloseTo(0.5, 2);
    expect(ratio('expert', 'decode')).toBe(1);
    expect(ratio('head', 'prefill')).toBe(1);
  });

  it('changes with the kinds: at another frequency, of a faster draft', () => {
    const lane = { ...device, kinds: { draft: {} }, prefill: { draft: twice, head: twice } };
    const doubled = (arithmetic: typeof lane.arithmetic) =>
      arithmetic.map(([rows, rate]) => [rows, 2 * rate] as const);
    const { kinds, prefill } = changedArithmetic(lane, 'draft', doubled);
    expect(kinds.draft?.arithmetic).toEqual(doubled(lane.arithmetic));
    expect(prefill?.draft?.arithmetic).toEqual(doubled(twice.arithmetic));
    expect(prefill?.head).toEqual(twice);
    const without = changedKinds(lane, ({ arithmetic: _arithmetic, ...others }) => others);
    expect(without).toEqual({ kinds: { draft: {} }, prefill: { draft: {}, head: {} } });
    expect(changedKinds(device, (own) => own)).not.toHaveProperty('prefill');
  });
});

describe('unequal times', () => {
  it('cost a balanced pipeline time, are drawn from the seed, and change nothing on average of one lane', async () => {
    const uneven = unflattenMachine({
      ...flat,
      variability: { disk: 0, link: 0.5, host: 0.5, device: 0.5 },
    });
    const even = await simulateRun(request('none', { pinnedLayers: 0 }));
    const drawn = await simulateRun(request('none', { pinnedLayers: 0 }, { machine: uneven }));
    expect(drawn.seconds).not.toBe(even.seconds);
    expect(await simulateRun(request('none', { pinnedLayers: 0 }, { machine: uneven }))).toEqual(drawn);
    const busy = ({ phases }: typeof even) => phases.decode.lanes.link.busySeconds;
    expect(busy(drawn) / busy(even)).toBeGreaterThan(0.95);
    expect(busy(drawn) / busy(even)).toBeLessThan(1.05);
  });
});

describe('imagined routing', () => {
  it('gives every row its experts, and unpopular experts fewer with more skew', () => {
    for (const skew of [0, 1]) {
      const oracle = createOracle({ kind: 'rates', name: 'x', byPosition: [0] }, createRandom(3), { skew });
      for (const rows of [0, 1, 7, 512, 5000]) {
        const counts = oracle.chooseExperts(rows, 8, 2, 0);
        expect(Math.max(...counts)).toBeLessThanOrEqual(rows);
        if (skew === 0 || rows <= 512) expect(counts.reduce((a, b) => a + b, 0)).toBeCloseTo(2 * rows, 6);
      }
    }
    const spread = (skew: number) => {
      const oracle = createOracle({ kind: 'rates', name: 'x', byPosition: [0] }, createRandom(3), { skew });
      return Math.min(...oracle.chooseExperts(400, 8, 2, 0));
    };
    expect(spread(1)).toBeLessThan(spread(0));
  });
});
