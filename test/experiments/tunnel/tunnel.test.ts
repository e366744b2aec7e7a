import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AcceptanceRates,
  type AcceptanceReport,
  type Budgets,
  catalogSpec,
  computeLane,
  describeModel,
  flattenMachine,
  formatOf,
  interpolate,
  type LanePlace,
  type MachineModel,
  type ModelSummary,
  noCaps,
  packedTwin,
  type Span,
  summarise,
  transferLane,
  withBudgets,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { capMachine, localSettings, withLimits } from '../../../experiments/src/inputs/caps.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { openMeasuredJob } from '../../../experiments/src/sweep/measured-job.js';
import { Shelf } from '../../../experiments/src/sweep/shelf.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { type ChoiceRequest, chooseTunnel } from '../../../experiments/src/tunnel/choose.js';
import { flagsOf } from '../../../experiments/src/tunnel/flags.js';
import { loadsOf, simulateLoads } from '../../../experiments/src/tunnel/loads.js';
import { withDraftSpeed } from '../../../experiments/src/tunnel/measure.js';
import { openOrCreateTunnel } from '../../../experiments/src/tunnel/named.js';
import { openOriginal } from '../../../experiments/src/tunnel/original.js';
import { planInTunnel, rateOf, type TunnelPlan } from '../../../experiments/src/tunnel/plans.js';
import { distance, isMatched, type Ratios, ratiosOf } from '../../../experiments/src/tunnel/ratios.js';
import { openTunnel, parseTunnel, type Tunnel } from '../../../experiments/src/tunnel/tunnel-file.js';
import { explainUnmatched } from '../../../experiments/src/tunnel/unmatched.js';
import { workstation } from '../../engine/plan-cases.js';
import { specOf } from '../../engine/tiny.js';
import { fakeResult } from '../fake-run.js';

describe('the loads of a pass', () => {
  let id = 0;
  const span = (
    lane: Span['lane'],
    kind: Span['kind'],
    pass: number,
    [startSeconds, endSeconds]: readonly [number, number],
    bytes = 0,
  ): Span => ({
    ...{ id: id++, lane, kind, pass, bytes, startSeconds, endSeconds, readySeconds: startSeconds },
    ...{ name: 'x', phase: 'decode', batch: 0, rows: 0, flops: 0 },
  });
  /** Drafting takes 3 s, then a pass 5 s: 2 on the host, beginning at once, and 1 on the device at the end. */
  const pass = (number: number, start: number): Span[] => [
    span('device', 'draft', number, [start, start + 2.5]),
    span('link', 'upload', number, [start, start + 3.5], 1e9),
    span('host', 'attention', number, [start + 3, start + 5]),
    span('device', 'expert', number, [start + 7, start + 8]),
  ];

  it('are those of the second round: its own time for each', () => {
    const spans = [...pass(0, 0), ...pass(1, 8), ...pass(2, 16)];
    expect(loadsOf(spans, 1)).toEqual({
      ...{ passSeconds: 5, linkSeconds: 3.5, linkBytes: 1e9 },
      ...{ deviceSeconds: 1, hostSeconds: 2, draftSeconds: 3 },
    });
  });

  it('are means over the batches in flight', () => {
    const longer = pass(3, 24).map((one) =>
      one.kind === 'expert' ? { ...one, endSeconds: one.endSeconds + 2 } : one,
    );
    const spans = [...pass(0, 0), ...pass(1, 8), ...pass(2, 16), ...longer];
    expect(loadsOf(spans, 2)).toMatchObject({ passSeconds: 6, deviceSeconds: 2, draftSeconds: 3 });
  });

  it('do not count what happens between passes as a pass', () => {
    const realign = span('host', 'realign', 1, [8, 9]);
    expect(loadsOf([...pass(0, 0), realign, ...pass(1, 8)], 1)).toMatchObject({ draftSeconds: 3 });
  });

  it('are told by what lanes move and compute on, whatever they are called', () => {
    const names = new Map([
      ['host', 'cpu'],
      ['device', 'gpu'],
      ['link', 'bus'],
    ]);
    const renamed = [...pass(0, 0), ...pass(1, 8)].map((one) => ({ ...one, lane: names.get(one.lane)! }));
    const lanes: readonly LanePlace[] = [
      { name: 'bus', moves: { from: 'disk', to: 'device' } },
      { name: 'disk', moves: { from: 'disk', to: 'host' } },
      { name: 'cpu', computesOn: 'host' },
      { name: 'gpu', computesOn: 'device' },
    ];
    const back = span('back', 'store', 1, [10, 11], 1e6);
    const away: LanePlace = { name: 'back', moves: { from: 'device', to: 'host' } };
    const loads = loadsOf([...pass(0, 0), ...pass(1, 8)], 1);
    expect(loadsOf(renamed, 1, lanes)).toEqual(loads);
    expect(loadsOf([...renamed, back], 1, [...lanes, away])).toEqual({
      ...loads,
      ...{ linkSeconds: loads.linkSeconds + 1, linkBytes: 1e9 + 1e6 },
    });
  });

  it('need two rounds', () => {
    expect(() => loadsOf(pass(0, 0), 1)).toThrow('less than two rounds');
  });
});

describe('ratios', () => {
  it('are as far apart when doubled as when halved', () => {
    const pair = (ours: number) => ({ name: 'draft over pass', theirs: 1, ours }) as const;
    expect(distance([pair(2)])).toBeCloseTo(distance([pair(0.5)]), 12);
    expect(distance([pair(1)])).toBe(0);
    expect([0.9, 0.92, 1, 1.09, 1.11].map((ours) => isMatched(pair(ours)))).toEqual([
      ...[false, true, true, true, false],
    ]);
  });

  it('count a device that widens weights as the smaller one that it is', () => {
    const target = describeModel({ name: 'target', spec: catalogSpec('mixtral-8x7b') });
    const draft = describeModel({ name: 'draft', spec: catalogSpec('mistral-7b') });
    const loads = {
      ...{ passSeconds: 4, linkSeconds: 3, linkBytes: 1, deviceSeconds: 1, hostSeconds: 2, draftSeconds: 6 },
    };
    const rest = {
      ...{ loads, target, draft, policy: { decodeBatch: 64, candidates: 3 }, maxNewTokens: 4 },
      ...{ promptLengths: [96, 96], course: { tokensPerRound: 2.5, prefillShare: 0.4 } },
    };
    const machine = withBudgets(workstation, {
      deviceBytes: target.bytes / 4,
      hostBytes: 2 * target.bytes,
    });
    const bf16 = ratiosOf({ ...rest, machine });
    expect(bf16).toMatchObject({
      ...{ 'draft over pass': 1.5, 'link over pass': 0.75, 'arithmetic over pass': 0.25 },
      ...{ 'attention over pass': 0.5, 'device memory over model': 0.25, 'host memory over model': 2 },
    });
    const formats = { ...machine.formats, weightElementBytes: 4 };
    const fp32 = ratiosOf({ ...rest, machine: { ...machine, formats } });
    expect(fp32['device memory over model']).toBeCloseTo(0.125, 12);
    expect(fp32['attention weights over device memory']).toBeCloseTo(
      2 * bf16['attention weights over device memory'],
      12,
    );
    expect([bf16['tokens per round'], bf16['prefill over run']]).toEqual([2.5, 0.4]);
    // 7 of 16: two of eight experts, twice.
    expect(bf16['share of experts that a pass needs']).toBeCloseTo(7 / 16, 12);
    // 64 rows of an expert: the host does 1e12 there, the device twice the time of one row less than 1e14.
    const rate = interpolate(computeLane(machine, 'device').arithmetic)(64);
    expect(bf16['host arithmetic over device arithmetic']).toBeCloseTo(1e12 / rate, 12);
    const flops = 2 * 64 * 3 * 4096 * 14336 * 8 * 32;
    expect(bf16['host arithmetic over pass']).toBeCloseTo(flops / 1e12 / 4, 9);
  });
});

describe('the KV cache in device memory', () => {
  it('counts as what it stands for: 200 tokens at 131,072 bytes each, times its factor', () => {
    const target = describeModel({ name: 'target', spec: catalogSpec('mixtral-8x7b') });
    const draft = describeModel({ name: 'draft', spec: catalogSpec('mistral-7b') });
    const loads = {
      ...{ passSeconds: 4, linkSeconds: 3, linkBytes: 1, deviceSeconds: 1, hostSeconds: 2, draftSeconds: 6 },
    };
    const ratios = (factors: Partial<Budgets>) =>
      ratiosOf({
        ...{ loads, target, draft, policy: {}, promptLengths: [96, 96], maxNewTokens: 4 },
        course: { tokensPerRound: 1, prefillShare: 0.1 },
        machine: withBudgets(workstation, { deviceBytes: 1e9, ...factors }),
      });
    const plain = ratios({});
    expect(plain['KV cache over device memory']).toBeCloseTo((200 * 131_072) / 1e9, 12);
    // 192 tokens of 4096 numbers of two bytes, three times.
    expect(plain['activations of all prompts over device memory']).toBeCloseTo((192 * 8192 * 3) / 1e9, 12);
    expect(plain['kept draft cache over device memory']).toBe(plain['KV cache over device memory']);
    const counted = ratios({ deviceCacheFactor: 4, draftCacheFactor: 5 });
    expect(counted['KV cache over device memory'] / plain['KV cache over device memory']).toBeCloseTo(4, 12);
    expect(
      counted['kept draft cache over device memory'] / plain['kept draft cache over device memory'],
    ).toBeCloseTo(5, 12);
  });
});

describe('a cap', () => {
  const flat = flattenMachine(workstation);

  it('slows down whatever crosses the link, and nothing that is slower anyway', () => {
    const { link } = flattenMachine(capMachine(workstation, { ...noCaps, linkBytesPerSecond: 5e9 }));
    for (const field of ['bytesPerSecond', 'pageableBytesPerSecond', 'cacheBytesPerSecond'] as const)
      expect(link[field]).toBe(Math.min(flat.link[field]!, 5e9));
    expect(capMachine(workstation, noCaps)).toEqual(workstation);
  });

  it('of the KV cache slows down attention on the host, and cache on its way to the device', () => {
    const kinds = { attention: { cacheBytesPerSecond: 8e8 }, realign: {} };
    const caps = { ...noCaps, hostCacheBytesPerSecond: 1e8, linkCacheBytesPerSecond: 2e8 };
    const capped = flattenMachine(capMachine(withLane(workstation, 'host', { kinds }), caps));
    expect(capped.host.cacheBytesPerSecond).toBe(1e8);
    expect(capped.host.kinds).toEqual({ attention: { cacheBytesPerSecond: 1e8 }, realign: {} });
    expect(capped.link).toEqual({ ...flat.link, cacheBytesPerSecond: 2e8 });
  });

  it("of the host's arithmetic slows down its products whatever their kind, and nothing that is slower anyway", () => {
    const kinds = { expert: { arithmetic: [[1, 5e10]] }, realign: {} } as const;
    const caps = { ...noCaps, hostFlopsPerSecond: 3e10, hostWeightBytesPerSecond: 1e9 };
    const capped = flattenMachine(capMachine(withLane(workstation, 'host', { kinds }), caps));
    expect(capped.host.memoryBytesPerSecond).toBe(1e9);
    expect(capped.host.arithmetic).toEqual([
      [1, 2e10],
      [64, 3e10],
    ]);
    expect(capped.host.kinds).toEqual({ expert: { arithmetic: [[1, 3e10]] }, realign: {} });
    expect([capped.device, capped.link]).toEqual([flat.device, flat.link]);
  });

  it("of the draft slows down what it computes, at rates of its own or at the device's", () => {
    const slowed = (machine: MachineModel) =>
      computeLane(capMachine(machine, { ...noCaps, draftFlopsPerSecond: 1e9 }), 'device');
    const own = { arithmetic: [[1, 2e9]], scoreFlopsPerSecond: 1e18 } as const;
    const rated = slowed(withLane(workstation, 'device', { kinds: { draft: own, head: own } }));
    expect(rated.kinds).toEqual({ draft: { ...own, arithmetic: [[1, 1e9]] }, head: own });
    const { arithmetic } = computeLane(workstation, 'device');
    expect(slowed(workstation).arithmetic).toEqual(arithmetic);
    expect(slowed(workstation).kinds.draft?.arithmetic).toEqual(arithmetic.map(([rows]) => [rows, 1e9]));
  });

  it('of a run goes into its prediction, with its budgets', () => {
    const settings = {
      deviceBytes: 1e9,
      hostBytes: 2e9,
      caps: { ...noCaps, diskBytesPerSecond: 1e8 },
    };
    const { memory, disk, link } = flattenMachine(withLimits(workstation, settings));
    expect(memory).toEqual({ ...flat.memory, deviceBytes: 1e9, hostBytes: 2e9 });
    expect([disk.bytesPerSecond, link]).toEqual([1e8, flat.link]);
    const counting = flattenMachine(
      withLimits(workstation, { ...settings, deviceCacheFactor: 4.3, draftCacheFactor: 1 }),
    );
    expect(counting.memory).toEqual({ ...memory, deviceCacheFactor: 4.3 });
  });

  it('keeps the rates of prompts where a run reads them on all cores, as the profile did', () => {
    const budgets = { deviceBytes: 1e9, hostBytes: 2e9 };
    const { arithmetic } = computeLane(workstation, 'device');
    const profiled = withLane(workstation, 'device', { prefill: { expert: { arithmetic } } });
    const prefillOf = (settings: Parameters<typeof withLimits>[1]) =>
      computeLane(withLimits(profiled, settings), 'device').prefill;
    expect(prefillOf(localSettings(budgets))).toEqual({ expert: { arithmetic } });
    expect(prefillOf({ ...budgets, caps: noCaps })).toEqual({ expert: { arithmetic } });
    expect(prefillOf(localSettings({ ...budgets, prefillCores: 1 }))).toBeUndefined();
    expect(prefillOf(localSettings({ ...budgets, prefillCores: undefined }))).toBeUndefined();
  });
});

const config: ModelSummary = {
  ...summarise(catalogSpec('mixtral-8x7b')),
  ...{
    hiddenSize: 256,
    numHeads: 8,
    numKvHeads: 4,
    headDim: 32,
    numLayers: 4,
    ffnSize: 2048,
    vocabSize: 1000,
  },
};

describe('a choice', () => {
  const target = describeModel({ name: 'target', spec: specOf(config), unit: 'expert' });
  const draftOf = (numLayers: number) => {
    const dense = {
      ...config,
      architecture: 'mistral' as const,
      numExperts: 1,
      expertsPerToken: 1,
      numLayers,
    };
    return { name: `draft-${numLayers}`, checkpoint: describeModel({ name: 'draft', spec: specOf(dense) }) };
  };
  const theirs: Ratios = {
    ...{ 'draft over pass': 1.6, 'link over pass': 0.7, 'arithmetic over pass': 0.04 },
    ...{ 'attention over pass': 0.9, 'device memory over model': 0.5, 'host memory over model': 3 },
    ...{ 'draft over model': 0.15, 'host arithmetic over device arithmetic': 0.01 },
    ...{ 'weights read by the host over the link': 1.5, 'host arithmetic over pass': 2 },
    ...{ 'share of experts that a pass needs': 1, 'tokens per round': 3 },
    ...{ 'prefill over run': 0.3, 'attention weights over device memory': 0.1 },
    'activations of all prompts over device memory': 0.2,
    ...{ 'KV cache over device memory': 1.2, 'kept draft cache over device memory': 1.4 },
  };
  /** Slow enough for a draft of this size to take a while. */
  const machine = withLane(workstation, 'device', { arithmetic: [[1, 5e10]] });
  const request: ChoiceRequest = {
    ...{ theirs, cacheLinkOverHost: 1.6, target, drafts: [draftOf(2), draftOf(4)], machine },
    ...{ promptLengths: new Array<number>(32).fill(100), promptCounts: [4, 8] },
    ...{ policy: { candidates: 4, draftCache: 'recompute' }, maxNewTokens: 8, longestSeconds: 1e6 },
    acceptance: { kind: 'rates', name: '0.7', byPosition: [0.7] },
    signal: new AbortController().signal,
  };

  it('caps link and attention so that a pass lasts, against drafting, as long as theirs, and each has its share', async () => {
    const choice = await chooseTunnel(request);
    const { draftSeconds, passSeconds, linkSeconds, hostSeconds } = choice.loads;
    expect(draftSeconds / passSeconds / 1.6).toBeCloseTo(1, 1);
    expect(linkSeconds / passSeconds).toBeCloseTo(0.7, 1);
    expect(hostSeconds / passSeconds).toBeGreaterThan(0.5);
    expect(hostSeconds / passSeconds).toBeLessThanOrEqual(0.91);
    const { linkBytesPerSecond, hostCacheBytesPerSecond, linkCacheBytesPerSecond } = choice.caps;
    expect(linkBytesPerSecond).toBeLessThan(transferLane(machine, 'link').bytesPerSecond);
    expect(linkCacheBytesPerSecond! / hostCacheBytesPerSecond!).toBeCloseTo(1.6, 1);
    const ratio = (name: string) => choice.ratios.find((pair) => pair.name === name)!;
    for (const name of [
      'host arithmetic over pass',
      'weights read by the host over the link',
      'KV cache over device memory',
      'kept draft cache over device memory',
    ])
      expect(ratio(name).ours / ratio(name).theirs, name).toBeCloseTo(1, 1);
    // And the cap is what it says: the same run, simulated again, has those loads.
    const again = await simulateLoads({
      ...{ target, draft: choice.draft.checkpoint, acceptance: request.acceptance, maxNewTokens: 8 },
      ...{
        strategy: 'serial',
        policy: choice.policy,
        promptLengths: request.promptLengths.slice(0, choice.prompts),
      },
      machine: withBudgets(capMachine(machine, choice.caps), choice.memory),
    });
    expect(again).toEqual(choice.loads);
  });

  it('slows the draft down until arithmetic takes their share of a pass, where that is short enough', async () => {
    const paced = await chooseTunnel({ ...request, theirs: { ...theirs, 'arithmetic over pass': 0.01 } });
    const { draftSeconds, passSeconds, deviceSeconds } = paced.loads;
    expect(paced.caps.draftFlopsPerSecond).toBeLessThan(5e10);
    expect(deviceSeconds / passSeconds / 0.01).toBeCloseTo(1, 1);
    expect(draftSeconds / passSeconds / 1.6).toBeCloseTo(1, 1);
  });

  it('takes the nearest of what is short enough, and says when nothing is', async () => {
    const one = { ...request, drafts: [draftOf(2)] };
    const only = await Promise.all(
      one.promptCounts.map((count) => chooseTunnel({ ...one, promptCounts: [count] })),
    );
    const shortest = Math.min(...only.map(({ seconds }) => seconds));
    const choice = await chooseTunnel({ ...one, longestSeconds: shortest });
    expect(choice.seconds).toBeLessThanOrEqual(shortest);
    const few = { ...one, promptCounts: [4], longestSeconds: shortest / 1e6 };
    await expect(chooseTunnel(few)).rejects.toThrow('no run with these ratios is short enough');
  });

  it('says so when even the fastest link leaves the draft too light', async () => {
    const light = { ...request, drafts: [draftOf(2)], theirs: { ...theirs, 'draft over pass': 1e6 } };
    // So slow a draft that it would match takes months.
    const choice = await chooseTunnel({ ...light, longestSeconds: 1e4 });
    const { hostFlopsPerSecond, hostWeightBytesPerSecond, ...others } = choice.caps;
    expect({ ...others, hostFlopsPerSecond: null, hostWeightBytesPerSecond: null }).toEqual(noCaps);
    expect(hostWeightBytesPerSecond).toBeGreaterThan(0);
    expect(hostFlopsPerSecond).toBeGreaterThan(0);
    const limits = { theirPromptTokens: 437, ourPromptTokens: 100, longestSeconds: 30 };
    const sentences = explainUnmatched(choice, limits);
    expect(sentences.find((text) => text.startsWith('draft over pass'))).toContain(
      'even with nothing capped',
    );
    expect(sentences.length).toBe(choice.ratios.filter((pair) => !isMatched(pair)).length);
  });
});

describe('a draft that was measured', () => {
  it('is so many times as fast, whether or not the profile had rates of its own for drafts', async () => {
    const own = { arithmetic: [[1, 2e9]] } as const;
    const kinds = { draft: { ...own, scoreFlopsPerSecond: 1e18 } };
    const fasterDevice = (machine: MachineModel, factor: number) =>
      computeLane(withDraftSpeed(machine, factor), 'device');
    expect(fasterDevice(withLane(workstation, 'device', { kinds }), 3).kinds.draft).toEqual({
      ...{ arithmetic: [[1, 6e9]], scoreFlopsPerSecond: 1e18 },
    });
    const { arithmetic } = computeLane(workstation, 'device');
    const [[rows, rate]] = arithmetic as [readonly [number, number]];
    expect(fasterDevice(workstation, 2).kinds.draft?.arithmetic?.[0]).toEqual([rows, 2 * rate]);
    expect(fasterDevice(workstation, 2).arithmetic).toEqual(arithmetic);
  });
});

describe('what the planner picks in a tunnel', () => {
  it('has a draft only where it may have one, and computes nothing on a host that is paced', async () => {
    const target = describeModel({ name: 'target', spec: specOf(config), unit: 'expert' });
    const dense = { ...config, architecture: 'mistral' as const, numExperts: 1, expertsPerToken: 1 };
    const draft = describeModel({ name: 'draft', spec: specOf({ ...dense, numLayers: 2, ffnSize: 64 }) });
    const machine = withLimits(workstation, {
      ...{ deviceBytes: 30e6, hostBytes: 2e8, deviceCacheFactor: 50, draftCacheFactor: 50 },
      caps: { ...noCaps, linkBytesPerSecond: 1e8, hostFlopsPerSecond: 1e6 },
    });
    const plans = await planInTunnel({
      ...{ target, packed: packedTwin(target), draft, machine, promptLengths: [40, 40, 40, 40] },
      maxNewTokens: 8,
      acceptance: { kind: 'rates', name: '0.9', byPosition: [0.9] },
      signal: new AbortController().signal,
    });
    const [withDraft, withoutDraft] = [plans.withDraft!, plans.withoutDraft!];
    expect(withoutDraft.policy.speculation).toBe('none');
    // Of more policies a search simulates a smaller part.
    expect(withDraft.tokensPerSecond).toBeGreaterThan(0.999 * withoutDraft.tokensPerSecond);
    for (const { policy } of [withDraft, withoutDraft, plans.packed!])
      expect([policy.hostExpertRows, policy.projections]).toEqual([0, 'device']);
    // The link is slow, and what crosses it is a fifth less.
    expect(plans.packed!.tokensPerSecond / withDraft.tokensPerSecond).toBeGreaterThan(1.1);
    expect(plans.flexgenPacked!.tokensPerSecond / plans.flexgen!.tokensPerSecond).toBeGreaterThan(1.1);
    expect(plans.flexgenPacked!.strategy).toBe('flexgen');
  });

  it('is nothing where nothing fits', async () => {
    const target = describeModel({ name: 'target', spec: specOf(config), unit: 'expert' });
    const machine = withBudgets(workstation, { deviceBytes: 1e6 });
    const plans = await planInTunnel({
      ...{ target, packed: null, draft: target, machine, promptLengths: [40], maxNewTokens: 8 },
      acceptance: { kind: 'rates', name: '0.9', byPosition: [0.9] },
      signal: new AbortController().signal,
    });
    expect(Object.values(plans)).toEqual([null, null, null, null, null]);
  });

  it('rests on how often candidates stood once those before them did', () => {
    const counts = (...pairs: [number, number][]) => ({
      byPosition: pairs.map(([proposed, accepted]) => ({ proposed, accepted })),
    });
    const rate = (byPosition: ReturnType<typeof counts>) =>
      (rateOf(byPosition as unknown as AcceptanceReport) as AcceptanceRates).byPosition;
    // 100 tried, 60 of them stood; of those 60, 40; and so 60 were tried in the second place: 100 of 160.
    expect(rate(counts([100, 60], [100, 40]))).toEqual([0.63]);
    expect(rate(counts([10, 0], [10, 0]))).toEqual([0]);
  });
});

describe('the original', () => {
  const options = {
    ...({ like: 'env1', dataset: 'HumanEval', newTokens: 16 } as const),
    reference: `${projectDirectory}/results/paper`,
  };

  it("is the published policy with the batches of the paper's scripts", async () => {
    const { request } = await openOriginal(options);
    expect(request.target.name).toBe('mixtral-8x7b');
    expect(request.draft?.name).toBe('mistral-7b');
    expect(request.policy).toMatchObject({
      decodeBatch: 256,
      batches: 2,
      candidates: 6,
      draftCache: 'recompute',
    });
    expect((await openOriginal({ ...options, like: 'env2' })).request.target.name).toBe('mixtral-8x22b');
  });

  it('refuses a model whose batches nobody knows', async () => {
    await expect(openOriginal({ ...options, model: 'mistral-7b' })).rejects.toThrow(
      "invalid --model: mistral-7b; expected a model whose batches the paper's scripts list: mixtral-8x7b",
    );
    await expect(openOriginal({ ...options, like: 'env9' })).rejects.toThrow('unknown machine: env9');
  });
});

const pick: TunnelPlan = {
  strategy: 'none',
  policy: { ...fakeResult().policy, speculation: 'none' },
  tokensPerSecond: 20,
};

const packed: TunnelPlan = { ...pick, policy: { ...pick.policy, decodeBatch: 3 } };

const tunnel: Tunnel = {
  ...{ schema: 3, kind: 'tunnel', name: 'tunnel-env1' },
  like: { machine: 'env1', target: 'mixtral-8x7b', draft: 'mistral-7b', dataset: 'HumanEval' },
  models: { target: 'pair:600MB', draft: 'pair:93MB' },
  caps: { ...noCaps, linkBytesPerSecond: 477e6, hostCacheBytesPerSecond: 32e6, hostFlopsPerSecond: 3e8 },
  ...{ device: 'cpu', cores: { device: 1, host: 1 } },
  memory: { deviceBytes: 331_000_000, hostBytes: 1_760_000_000, deviceCacheFactor: 4.3, draftCacheFactor: 9 },
  workload: { name: 'dialogue', prompts: 8, maxNewTokens: 16 },
  policy: { candidates: 6, draftCache: 'recompute', draftBatch: 4 },
  planned: { withDraft: null, withoutDraft: pick, flexgen: null, packed, flexgenPacked: null },
  ratios: [{ name: 'draft over pass', theirs: 1.63, ours: 1.63 }],
  draftSpeed: 1.9,
  lanes: {
    theirs: { disk: 0, link: 0.4, host: 0.55, device: 0.52 },
    ours: { disk: 0, link: 0.5, host: 0.01, device: 0.9 },
  },
  unmatched: [],
  sources: { theirs: 'simulated' },
};

describe('a tunnel file', () => {
  it('comes back as it was written', () => {
    expect(parseTunnel(JSON.parse(JSON.stringify(tunnel)), 'tunnel.json')).toEqual(tunnel);
  });

  it('that is older has no picks of later kinds', () => {
    const planned = { withDraft: null, withoutDraft: pick };
    expect(parseTunnel({ ...tunnel, planned }, 'tunnel.json').planned).toEqual({
      ...{ ...planned, flexgen: null, packed: null, flexgenPacked: null },
    });
  });

  it.each<[Record<string, unknown>, string]>([
    [{ kind: 'profile' }, 'invalid kind: "profile"; expected "tunnel", in a file made by specoffload tunnel'],
    [{ schema: 2 }, 'invalid schema: 2; expected 3; make the tunnel again with specoffload tunnel'],
    [{ cap: 1 }, 'unknown field: cap; expected kind, schema, name'],
    [{ name: '' }, 'invalid name: ""; expected a text'],
    [{ caps: { linkBytesPerSecond: 'fast' } }, 'invalid caps.linkBytesPerSecond: "fast"; expected a number'],
    [{ caps: { linkBytesPerSecond: 1e9 } }, 'invalid caps.diskBytesPerSecond: missing; expected a number'],
    [{ cores: { device: 0, host: 1 } }, 'invalid cores.device: 0; expected a whole number from 1'],
    [
      { cores: { device: 1e308, host: 1 } },
      'invalid cores.device: 1e+308; expected a whole number from 1 to 1024',
    ],
    [{ memory: { deviceBytes: 1 } }, 'invalid memory.deviceBytes: 1; expected a number from 4096'],
    [{ workload: null }, 'invalid workload: null; expected an object'],
    [{ policy: { candidates: 0 } }, 'invalid candidates: 0; expected a whole number from 1 to 64'],
    [
      { memory: { ...tunnel.memory, deviceCacheFactor: 0.5 } },
      'invalid memory.deviceCacheFactor: 0.5; expected a number from 1',
    ],
    [{ planned: {} }, 'invalid planned.withDraft'],
    [
      { planned: { withDraft: null, withoutDraft: { ...pick, policy: { candidates: 3 } } } },
      'invalid planned.withoutDraft.policy: {"candidates":3}; expected a complete one, but speculation is missing',
    ],
    [{ ratios: [{ name: 'draft' }] }, 'invalid ratios.0.name: "draft"; expected draft over pass'],
    [{ lanes: { theirs: tunnel.lanes.theirs } }, 'invalid lanes.ours: missing; expected an object'],
    [{ unmatched: [1] }, 'invalid unmatched.0: 1; expected a text'],
  ])('is refused with %o', (change, message) => {
    expect(() => parseTunnel({ ...tunnel, ...change }, 'tunnel.json')).toThrow(`tunnel.json: ${message}`);
  });

  it('is refused when it is no object, no JSON, or not there', async () => {
    for (const nothing of [null, [], 'text', 3])
      expect(() => parseTunnel(nothing, 'tunnel.json')).toThrow(
        /^tunnel\.json: invalid content: .*; expected an object$/,
      );
    await expect(openTunnel(`${projectDirectory}/README.md`)).rejects.toThrow('is not valid JSON');
    await expect(openTunnel('nowhere.json')).rejects.toThrow(
      'cannot read the tunnel nowhere.json; make one with specoffload tunnel --out nowhere.json',
    );
  });

  it('gives a point the pick that it asks for, whole, and its limits', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'specoffload-tunnel-'));
    const machine = join(directory, 'tunnel.json');
    const shelf = new Shelf(
      createOutput({ write: () => true }, { write: () => true }, false),
      new AbortController().signal,
    );
    const point = { machine, target: 'pair', draft: 'pair' };
    try {
      await writeFile(machine, JSON.stringify(tunnel));
      const { plan } = await openMeasuredJob({ ...point, planned: 'without draft' }, shelf);
      expect([plan.strategy, plan.policy, plan.draft]).toEqual(['none', pick.policy, null]);
      expect(plan.machine).toMatchObject({
        ...{ deviceCacheFactor: 4.3, draftCacheFactor: 9 },
        deviceBytes: 331_000_000,
        caps: { hostFlopsPerSecond: 3e8, linkBytesPerSecond: 477e6 },
      });
      const format = { targetFormat: 'bf16_packed' } as const;
      const { plan: own } = await openMeasuredJob({ ...point, ...format, planned: 'with draft' }, shelf);
      expect([own.policy, formatOf(own.target)]).toEqual([packed.policy, 'bf16_packed']);
      expect(own.target.packedFrom).toBe(plan.target.digest);
      await expect(
        openMeasuredJob({ ...point, ...format, strategy: 'flexgen', planned: 'with draft' }, shelf),
      ).rejects.toThrow(
        'the planner found nothing with draft and bf16_packed for tunnel-env1; make the tunnel',
      );
      await expect(openMeasuredJob({ ...point, ...format, planned: 'without draft' }, shelf)).rejects.toThrow(
        'planned: without draft and targetFormat: bf16_packed exclude each other in tunnels',
      );
      await expect(openMeasuredJob({ ...point, planned: 'with draft' }, shelf)).rejects.toThrow(
        'the planner found nothing with draft for tunnel-env1; make the tunnel again',
      );
      await expect(openMeasuredJob({ ...point, planned: 'with any drafter' }, shelf)).rejects.toThrow(
        'planned: with any drafter is for points outside of tunnels',
      );
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('is made on first use under its name, kept, and made anew after the machine was measured', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'specoffload-tunnel-'));
    const profile = join(directory, 'machine.json');
    const likes: string[] = [];
    const notes: string[] = [];
    const output = createOutput({ write: () => true }, { write: (text) => notes.push(text) }, false);
    const open = (which: string) =>
      openOrCreateTunnel(which, output, new AbortController().signal, {
        ...{ directory: join(directory, 'tunnels'), profile },
        create: async ({ like }) => {
          likes.push(like);
          return { ...tunnel, name: `tunnel-${like}` };
        },
      });
    try {
      await writeFile(profile, '{}');
      await utimes(profile, 1, 1);
      expect((await open('tunnel:env1')).name).toBe('tunnel-env1');
      expect((await open('tunnel:env1')).name).toBe('tunnel-env1');
      expect(likes).toEqual(['env1']);
      expect(await readdir(join(directory, 'tunnels'))).toEqual(['tunnel-env1.json']);
      const future = Date.now() / 1000 + 60;
      await utimes(profile, future, future);
      await open('tunnel:env1');
      expect([likes, notes.length]).toEqual([['env1', 'env1'], 2]);
      await utimes(profile, 1, 1);
      await writeFile(join(directory, 'tunnels', 'tunnel-env1.json'), '{"schema": 1}');
      await open('tunnel:env1');
      expect(likes.length, 'what an older version made is made anew').toBe(3);
      const { packed: _packed, ...earlier } = tunnel.planned;
      const file = join(directory, 'tunnels', 'tunnel-env1.json');
      await writeFile(file, JSON.stringify({ ...tunnel, planned: earlier }));
      await open('tunnel:env1');
      expect(likes.length, 'and what had no picks with packed weights').toBe(4);
      await expect(open('tunnel:../env1')).rejects.toThrow(
        'invalid machine: tunnel:../env1; expected tunnel:',
      );
      expect(await open(join(directory, 'tunnels', 'tunnel-env1.json'))).toMatchObject({ kind: 'tunnel' });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('says the same as flags of a run', () => {
    const flags = flagsOf(tunnel);
    expect(flags).toMatchObject({
      ...{ target: 'pair:600MB', draft: 'pair:93MB', prompts: 'dialogue', numPrompts: 8, newTokens: 16 },
      ...{
        deviceMemory: '331000000B',
        linkCap: '477000000B/s',
        hostArithmeticCap: '300000000FLOP/s',
        deviceCacheFactor: '4.3',
        draftCacheFactor: '9',
        hostCacheCap: '32000000B/s',
        candidates: '6',
        draftCache: 'recompute',
      },
    });
    const caps = Object.keys(flags).filter((name) => name.endsWith('Cap'));
    expect(caps.sort()).toEqual(['hostArithmeticCap', 'hostCacheCap', 'linkCap']);
  });
});
