/** The competitors' strategies for real: they write what transformers writes, and move only what they say they move. */

import {
  type Checkpoint,
  createRandom,
  loadReferenceWeights,
  type ModelSummary,
  openCheckpoint,
  type PolicyInput,
  type RunRequest,
  type RunResult,
  referenceGreedy,
  runEngine,
  runLogits,
  type Span,
  type StrategyName,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { ffnChunkRows } from '../../engine/dist/schedule/memory-plan.js';
import { drawPrompts } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { computedNames, goldenDirectory, maxDifference, readGolden } from './model/golden.js';
import { writeTinyModel } from './tiny.js';

const competitors = ['accelerate', 'deepspeed', 'flexgen', 'fiddler'] as const;
const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const streamed: PolicyInput = { pinnedLayers: 0, keptLayers: 0 };
const cannotShare = ['gemma3', 'gpt-oss']; // norms behind FFNs, and biases
const hostile = 'mistral-full'; // of mixtral's vocabulary, and of another opinion
/**
 * Of those that transformers wrote; `golden.test.ts` compares all. Without a draft a token of the prompt's pass and four
 * of their own, behind which every cache has a new block of four; a draft's rounds take some more.
 */
const tokensOf = (draft: Checkpoint | null | undefined) => (draft ? 7 : 5);

/** Runs a golden case, its tokens as transformers wrote them. */
async function expectGolden(
  name: string,
  strategy: StrategyName,
  policy: PolicyInput,
  changes: Partial<RunRequest> = {},
): Promise<RunResult> {
  const target = await openCheckpoint(goldenDirectory(name));
  const golden = readGolden(name).prompts;
  const maxNewTokens = tokensOf(changes.draft);
  const expected = golden.map(({ greedy_ids }) => greedy_ids.slice(0, maxNewTokens));
  const prompts = golden.map(({ ids }) => ids);
  const result = await runEngine({
    ...{ target, draft: null, prompts, strategy, maxNewTokens, machine, policy },
    ...changes,
  });
  expect(result.sequences.map(({ ids }) => ids)).toEqual(expected);
  expect(result.nearTies).toBe(0);
  expect(result.policy).toMatchObject(policy);
  return result;
}

describe.each(computedNames)('%s', (name) => {
  it.each(competitors)('%s continues as transformers does', async (strategy) => {
    await expectGolden(name, strategy, streamed);
  });

  // One of each manner of layer: dense, with experts, with norms behind, with stacked experts and biases.
  if (!['mistral-window', 'mixtral', 'gemma3', 'gpt-oss'].includes(name)) return;
  it.each<[StrategyName, PolicyInput]>([
    ['none', { ...streamed, projections: 'host', microBatch: 2 }],
    ['apex', { pinnedLayers: 1, microBatch: 1, prefillBatch: 1 }],
    ['hetegen', { ...streamed, hostShare: cannotShare.includes(name) ? 0 : 0.4 }],
    ['flexgen', { ...streamed, microBatch: 1, prefillBatch: 1, prefetchDepth: 0 }],
    ['fiddler', { pinnedLayers: 1, keptLayers: 1, hostExpertRows: 1000, microBatch: 2 }],
  ])('%s with %o does too', async (strategy, policy) => {
    await expectGolden(name, strategy, policy);
  });
});

describe('mixtral, whatever the policy', () => {
  it.each<[StrategyName, PolicyInput]>([
    ['accelerate', { ...streamed, microBatch: 1, prefillBatch: 1 }],
    ['accelerate', { pinnedLayers: 1, keptLayers: 1, prefillOrder: 'batch-major', prefillBatch: 1 }],
    ['accelerate', { ...streamed, prefetchDepth: 0, decodeBatch: 2, cache: 'host', microBatch: 1 }],
    ['accelerate', {}],
    ['deepspeed', { ...streamed, experts: 'routed', microBatch: 2 }],
    ['deepspeed', { pinnedLayers: 0, keptLayers: 2, attentionWeights: 'resident', decodeBatch: 1 }],
    ['deepspeed', { ...streamed, attention: 'host', prefillAttention: 'host', cache: 'host' }],
    ['flexgen', { ...streamed, microBatch: 1, prefetchDepth: 3, prefillBatch: 2 }],
    ['flexgen', { ...streamed, microBatch: 2, prefetchDepth: 0, prefillOrder: 'batch-major' }],
    ['flexgen', { pinnedLayers: 1, keptLayers: 1, cache: 'device', decodeBatch: 2 }],
    ['flexgen', { ...streamed, prefillAttention: 'host', microBatch: 1 }],
    ['flexgen', { ...streamed, streaming: 'on-demand', microBatch: 1, prefillBatch: 1 }],
    ['fiddler', { ...streamed, hostExpertRows: 0, microBatch: 1 }],
    ['fiddler', { ...streamed, hostExpertRows: 2, prefillBatch: 1 }],
    ['fiddler', { ...streamed, hostExpertRows: 2, streaming: 'ahead', prefetchDepth: 1, microBatch: 1 }],
    ['fiddler', { ...streamed, hostExpertRows: 1000, prefillOrder: 'batch-major', prefillBatch: 2 }],
    ['fiddler', { pinnedLayers: 0, keptLayers: 3, hostExpertRows: 10, microBatch: 1, prefillBatch: 1 }],
    ['fiddler', { ...streamed, cache: 'host', attention: 'host', prefillAttention: 'host', microBatch: 1 }],
    ['fiddler', {}],
    ['apex', {}],
    ['apex', { microBatch: 1, overlap: 'asynchronous', prefillBatch: 1 }],
    ['apex', { microBatch: 2, overlap: 'by-rule', prefillAttention: 'host', leastOnHost: 2 }],
    ['apex', { microBatch: 1, overlap: 'by-rule', decodeBatch: 2, refill: 'yes', experts: 'routed' }],
    ['hetegen', {}],
    ['hetegen', { ...streamed, hostShare: 0.7, prefetchDepth: 0, streaming: 'on-demand', microBatch: 1 }],
    ['hetegen', { keptLayers: 2, pinnedLayers: 1, hostShare: 1, experts: 'routed', hostExpertRows: 2 }],
    ['apex', { ...streamed, prefillAttention: 'host', decodeBatch: 3, microBatch: 2 }],
    [
      'apex',
      { ...streamed, projections: 'host', cache: 'device', microBatch: 1, prefillOrder: 'batch-major' },
    ],
    ['none', { ...streamed, attention: 'device', prefillAttention: 'device', prefetchDepth: 0 }],
    ['none', { ...streamed, prefillAttention: 'device', prefillBatch: 1 }],
    ['none', { ...streamed, attention: 'device', prefillAttention: 'host', microBatch: 2 }],
    ['none', { ...streamed, streaming: 'on-demand', microBatch: 1, prefillBatch: 1 }],
    ['none', { pinnedLayers: 1, keptLayers: 1, projections: 'host', streaming: 'on-demand', microBatch: 1 }],
    ['none', { ...streamed, experts: 'routed', hostExpertRows: 10, batches: 2, microBatch: 1 }],
    ['none', { ...streamed, prefetchDepth: 0, attentionWeights: 'resident', microBatch: 1, prefillBatch: 1 }],
  ])('%s with %o', async (strategy, policy) => {
    await expectGolden('mixtral', strategy, policy);
  });

  it.each<[StrategyName, string, PolicyInput]>([
    ...competitors.flatMap((strategy): [StrategyName, string, PolicyInput][] => [
      [strategy, hostile, { ...streamed, speculation: 'serial', candidates: 2 }],
      [strategy, 'mixtral', { ...streamed, speculation: 'serial', candidates: 5, microBatch: 1 }],
    ]),
    ['serial', hostile, { ...streamed, attention: 'device', microBatch: 1, candidates: 3 }],
    ['serial', hostile, { ...streamed, experts: 'routed', hostExpertRows: 10, draftCache: 'recompute' }],
    ['serial', hostile, { ...streamed, streaming: 'on-demand', candidates: 16, prefetchDepth: 0 }],
    ['serial', hostile, { ...streamed, speculation: 'ahead', candidates: 3 }],
    ['serial', 'mixtral', { ...streamed, draftCache: 'window', draftWindow: 500, candidates: 3 }],
    ['serial', 'mixtral', { ...streamed, speculation: 'ahead', candidates: 3, draftBatch: 2 }],
    ['serial', 'mixtral', { ...streamed, speculation: 'ahead', candidates: 16, draftCache: 'recompute' }],
    ['specoffload', hostile, { ...streamed, attention: 'device', candidates: 3 }],
    ['specoffload', hostile, { ...streamed, refill: 'yes', decodeBatch: 1, candidates: 3 }],
    ['specoffload', hostile, { ...streamed, attention: 'split', microBatch: 1, candidates: 2 }],
    [
      'serial',
      'mixtral',
      { ...streamed, refill: 'yes', decodeBatch: 2, draftCache: 'window', candidates: 3 },
    ],
    ['specoffload', hostile, { ...streamed, attention: 'device', cache: 'device', microBatch: 1 }],
    ['specoffload', hostile, { ...streamed, experts: 'routed', hostExpertRows: 2, prefillBatch: 1 }],
    ['specoffload', 'mixtral', { ...streamed, prefillAttention: 'device', prefetchDepth: 0 }],
    [
      'specoffload',
      hostile,
      { ...streamed, projections: 'host', experts: 'routed', hostExpertRows: 2, prefillAttention: 'device' },
    ],
    ['specoffload', 'mixtral', { ...streamed, streaming: 'on-demand', attentionWeights: 'resident' }],
    ['specoffload', hostile, { ...streamed, draftPlacement: 'after-prefill', decodeBatch: 1, candidates: 2 }],
    [
      'serial',
      'mixtral',
      { ...streamed, draftPlacement: 'after-prefill', prefillBatch: 1, prefetchDepth: 0 },
    ],
  ])('%s with draft %s and %o', async (strategy, draftName, policy) => {
    const draft = await openCheckpoint(goldenDirectory(draftName));
    const { acceptance } = await expectGolden('mixtral', strategy, policy, { draft });
    if (draftName === hostile) expect(acceptance?.rate).toBeLessThan(0.1);
    else expect(acceptance?.rate).toBe(1);
  });

  it.each(competitors)('%s on the twin core', async (strategy) => {
    await expectGolden(
      'mixtral',
      strategy,
      { ...streamed, microBatch: 2 },
      {
        machine: { ...machine, native: 'twin' },
      },
    );
  });
});

describe('a run', () => {
  const config: ModelSummary = {
    ...{ architecture: 'mixtral', vocabSize: 60, hiddenSize: 32, numLayers: 3, numHeads: 4, numKvHeads: 2 },
    ...{ headDim: 8, ffnSize: 48, numExperts: 5, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4 },
    ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 64, eosTokenIds: [] },
  };
  const directory = createTemporaryDirectory();
  const prompts = drawPrompts(createRandom(21), 5, 12, config.vocabSize);
  const maxNewTokens = 8;
  let target: Checkpoint;
  let windowed: Checkpoint;
  let draft: Checkpoint;
  let expected: number[][];

  beforeAll(async () => {
    target = await writeTinyModel(directory, 'target', config, { dtype: 'bf16', seed: 4 });
    draft = await writeTinyModel(directory, 'draft', config, { dtype: 'bf16', seed: 4, perturbation: 0.1 });
    windowed = await writeTinyModel(
      directory,
      'windowed',
      { ...config, slidingWindow: 5 },
      { dtype: 'f16', seed: 4 },
    );
    expected = await continuations(target);
  });

  async function continuations(model: Checkpoint, count = maxNewTokens): Promise<number[][]> {
    const weights = await loadReferenceWeights(model);
    return prompts.map((prompt) => [...referenceGreedy(weights, prompt, count).ids]);
  }

  async function run(
    strategy: StrategyName,
    policy: PolicyInput = {},
    changes: Partial<RunRequest> = {},
  ): Promise<RunResult> {
    const result = await runEngine({
      ...{ target, draft, prompts, strategy, maxNewTokens, machine },
      policy: { ...streamed, ...policy },
      ...changes,
    });
    if (!changes.target)
      expect(result.sequences.map(({ ids }) => ids)).toEqual(
        expected.map((ids) => ids.slice(0, changes.maxNewTokens)),
      );
    return result;
  }

  const spansOf = ({ spans }: RunResult, kind: Span['kind'], phase?: Span['phase']) =>
    spans.filter((span) => span.kind === kind && (phase === undefined || span.phase === phase));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const cacheBytesPerToken = 2 * config.numKvHeads * config.headDim * 4; // one layer, fp32

  it.each<[StrategyName, PolicyInput]>([
    ['accelerate', {}],
    ['accelerate', { pinnedLayers: 1, keptLayers: 1 }],
    ['accelerate', { microBatch: 2, prefillBatch: 2 }],
    ['deepspeed', {}],
    ['deepspeed', { keptLayers: 3, microBatch: 1 }],
    ['deepspeed', { speculation: 'serial', candidates: 2 }],
    ['fiddler', { hostExpertRows: 2 }],
  ])('of %s with %o never uses two lanes at a time', async (strategy, policy) => {
    const { spans } = await run(strategy, policy);
    const [first, ...rest] = spans.filter(({ pass }) => pass >= 0);
    let last = first!;
    for (const span of rest) {
      expect(span.startSeconds, `${last.name}, then ${span.name}`).toBeGreaterThanOrEqual(last.endSeconds);
      last = span;
    }
    expect(new Set(spans.map(({ lane }) => lane)).size).toBeGreaterThanOrEqual(2);
  });

  it('of none has lanes that work at the same time', async () => {
    const { spans } = await run('none');
    const overlaps = spans.filter(({ startSeconds }, i) => i > 0 && startSeconds < spans[i - 1].endSeconds);
    expect(overlaps.length).toBeGreaterThan(0);
  });

  it.each([0, 2, 4, 1000])(
    'of fiddler reads only experts that some row chose, and sends those that more than %i did',
    async (hostExpertRows) => {
      const result = await run('fiddler', { hostExpertRows, microBatch: 2 });
      const { spans, passes } = result;
      const namesOf = (kind: Span['kind'], pass: number, prefix: string) =>
        spans
          .filter((span) => span.kind === kind && span.pass === pass && span.name.startsWith(prefix))
          .map(({ name }) => name.slice(prefix.length))
          .sort();
      let unused = 0;
      for (let pass = 0; pass < passes; pass += 1) {
        const rows = new Map<string, number>();
        for (const span of spans)
          if (span.kind === 'expert' && span.pass === pass) {
            const group = span.name.replace(' on host', '');
            rows.set(group, (rows.get(group) ?? 0) + span.rows);
            expect(span.lane === 'host', `${span.name}, ${span.rows} rows`).toBe(
              span.name.endsWith(' on host'),
            );
          }
        const chosen = [...rows.keys()].sort();
        const many = chosen.filter((group) => rows.get(group)! > hostExpertRows);
        expect(namesOf('load', pass, 'load ')).toEqual(chosen);
        expect(namesOf('upload', pass, 'upload ')).toEqual(many);
        const onDevice = spans.filter(
          ({ kind, lane, pass: of }) => kind === 'expert' && lane === 'device' && of === pass,
        );
        expect([...new Set(onDevice.map(({ name }) => name))].sort()).toEqual(many);
        expect(sum([...rows.values()])).toBe(
          sum(spans.filter(({ kind, pass: of }) => kind === 'attention' && of === pass).map((s) => s.rows)) *
            config.expertsPerToken,
        );
        unused += config.numLayers * config.numExperts - chosen.length;
      }
      expect(unused).toBeGreaterThan(0);
      const merges = spansOf(result, 'merge').length;
      expect(merges).toBe(spansOf(result, 'expert').filter(({ lane }) => lane === 'host').length);
      expect(merges > 0).toBe(hostExpertRows > 0);
    },
  );

  it.each<PolicyInput>([
    { microBatch: 2 },
    { microBatch: 1, prefetchDepth: 0, prefillBatch: 1 },
    { microBatch: 3, prefetchDepth: 3, prefillBatch: 2 },
  ])('of flexgen with %o brings weights once for all micro-batches, and all of the cache', async (policy) => {
    const result = await run('flexgen', policy);
    const { spans, passes } = result;
    for (const kind of ['load', 'upload'] as const)
      for (let pass = 0; pass < passes; pass += 1) {
        const names = spans
          .filter((span) => span.kind === kind && span.pass === pass)
          .map(({ name }) => name);
        expect(names, `${kind}, pass ${pass}`).toHaveLength(config.numLayers * (1 + config.numExperts));
        expect(new Set(names).size).toBe(names.length);
      }
    const bytesOf = (kind: Span['kind'], phase: Span['phase']) =>
      sum(spansOf(result, kind, phase).map(({ bytes }) => bytes));
    const tokenBytes = config.numLayers * cacheBytesPerToken;
    const promptTokens = prompts.flat().length;
    expect(bytesOf('fetch', 'prefill')).toBe(0);
    expect(bytesOf('store', 'prefill')).toBe(promptTokens * tokenBytes);
    // Round i reads each prompt and the i - 1 tokens behind it, and adds one.
    const rounds = maxNewTokens - 1;
    const read = rounds * promptTokens + (prompts.length * (rounds * (rounds - 1))) / 2;
    expect(bytesOf('fetch', 'decode')).toBe(read * tokenBytes);
    expect(bytesOf('store', 'decode')).toBe(rounds * prompts.length * tokenBytes);
    const microBatches = Math.ceil(prompts.length / policy.microBatch!);
    expect(spansOf(result, 'fetch')).toHaveLength(rounds * microBatches * config.numLayers);
    expect(result.spans.some(({ lane }) => lane === 'host')).toBe(false);
  });

  it('of flexgen fetches no more of the cache than a sliding window sees', async () => {
    const windowedIds = await continuations(windowed);
    for (const policy of [{ microBatch: 2 }, { speculation: 'serial', candidates: 7 }] as const) {
      const result = await run('flexgen', policy, { target: windowed });
      expect(result.sequences.map(({ ids }) => ids)).toEqual(windowedIds);
      const fetched = spansOf(result, 'fetch').map(({ bytes }) => bytes);
      const most = prompts.length * 4 * cacheBytesPerToken; // the fifth is the row itself
      expect(Math.max(...fetched)).toBeLessThanOrEqual(most);
      expect(Math.min(...fetched)).toBeGreaterThan(0);
    }
  });

  it('of flexgen takes the cache across the link at the pace of the link', async () => {
    const linkBytesPerSecond = 3e6;
    const { phases, outputDigest } = await run(
      'flexgen',
      {},
      { machine: { ...machine, caps: { linkBytesPerSecond } } },
    );
    const { bytes, busySeconds } = phases.decode.lanes.link;
    expect(bytes / busySeconds).toBeLessThan(linkBytesPerSecond * 1.1);
    expect(outputDigest).toBe((await run('none')).outputDigest);
  });

  it('of sequences that end one by one leaves gaps in the cache that no frame crosses', async () => {
    // Ends of sequences that micro-batches share with others: every third new token ends one.
    const eosTokenIds = [...new Set(expected.map((ids, index) => ids[index] ?? -1))];
    const ending: Checkpoint = { ...target, spec: { ...target.spec, eosTokenIds } };
    const plain = await run('none', {}, { target: ending });
    expect(new Set(plain.sequences.map(({ ids }) => ids.length)).size).toBeGreaterThan(1);
    for (const strategy of competitors)
      for (const microBatch of [1, 2, 3]) {
        const policy: PolicyInput = { microBatch, cache: 'host', prefetchDepth: 0 };
        const result = await run(strategy, policy, { target: ending });
        expect(result.sequences.map(({ ids }) => ids)).toEqual(plain.sequences.map(({ ids }) => ids));
      }
  });

  it('brings routed experts ahead as soon as the router has chosen, or each when its turn has come', async () => {
    const early = async (streaming: PolicyInput['streaming']) => {
      const result = await run('none', { experts: 'routed', streaming, prefetchDepth: 3, microBatch: 2 });
      const experts = spansOf(result, 'expert');
      const routers = spansOf(result, 'mix');
      let count = 0;
      for (const load of spansOf(result, 'load').filter(({ name }) => name.includes('expert'))) {
        const [layer] = /layer\.\d+/.exec(load.name)!;
        const isOfLayer = ({ name, pass }: Span) => pass === load.pass && name.includes(`${layer}`);
        for (const { endSeconds } of routers.filter(isOfLayer))
          expect(load.startSeconds).toBeGreaterThanOrEqual(endSeconds);
        const before = experts.filter(
          (span) => isOfLayer(span) && span.name < load.name.slice('load '.length),
        );
        if (before.some(({ endSeconds }) => load.startSeconds < endSeconds)) count += 1;
      }
      return count;
    };
    expect(await early('ahead')).toBeGreaterThan(0);
    expect(await early('on-demand')).toBe(0);
  });

  it('of many frames ends with as few buffers as there can be', async () => {
    const policies: PolicyInput[] = [
      { streaming: 'on-demand', microBatch: 1, prefillBatch: 1 },
      { streaming: 'on-demand', experts: 'routed', microBatch: 1, prefillBatch: 1 },
      { streaming: 'on-demand', experts: 'routed', hostExpertRows: 2, keptLayers: 1, microBatch: 1 },
      { experts: 'routed', hostExpertRows: 2, microBatch: 1, prefillBatch: 1 },
      { experts: 'routed', attentionWeights: 'resident', pinnedLayers: 1, microBatch: 1, prefillBatch: 2 },
      { microBatch: 1, prefillBatch: 1 },
    ];
    for (const lanes of ['host', 'device'] as const)
      for (const policy of policies)
        for (const prefetchDepth of [0, 1]) {
          const own: PolicyInput = {
            ...{ ...streamed, ...policy, prefetchDepth },
            ...{ attention: lanes, prefillAttention: lanes },
          };
          await run('none', own, { maxNewTokens: 3 }); // a pass for prompts, and two that follow each other
        }
  });

  it.each<PolicyInput>([
    { candidates: 2 },
    { candidates: 4, draftBatch: 2, microBatch: 1 },
    { candidates: 3, draftCache: 'recompute', attention: 'device' },
  ])('of serial with %o proposes ahead what it would have proposed afterwards', async (policy) => {
    // Paced reads stretch every pass, so that drafting has the time to be done meanwhile, whatever else the machine does.
    const paced = { ...machine, caps: { diskBytesPerSecond: 3e6 } };
    const ahead = await run('serial', { speculation: 'ahead', ...policy }, { machine: paced });
    const { acceptance } = await run('serial', policy);
    expect(acceptance?.rate).toBeGreaterThan(0.2);
    expect(acceptance?.rate).toBeLessThan(0.95);
    // A candidate is what the draft alone would write there, whenever it is asked.
    expect(ahead.acceptance?.proposed).toBe(acceptance?.proposed);
    expect(ahead.acceptance?.accepted).toBe(acceptance?.accepted);
    const verifications = spansOf(ahead, 'embed', 'decode');
    const early = spansOf(ahead, 'draft').filter((step) =>
      spansOf(ahead, 'head', 'decode').some(
        ({ pass, endSeconds }, index) =>
          step.pass === pass &&
          step.startSeconds >= verifications[index].startSeconds &&
          step.endSeconds <= endSeconds,
      ),
    );
    expect(early.length, 'while the target verifies').toBeGreaterThan(0);
  });

  it('of an FFN with more rows than go at once computes them on the host in pieces', async () => {
    const dense = { ...config, architecture: 'llama', numExperts: 1, expertsPerToken: 1 } as const;
    const model = await writeTinyModel(directory, 'dense', dense, { dtype: 'mixed', seed: 6 });
    const many = Array.from({ length: 48 }, (_, index) => prompts[index % prompts.length].concat(index));
    expect(many.flat().length).toBeGreaterThan(ffnChunkRows);
    const changes = { target: model, prompts: many, maxNewTokens: 3 };
    const plain = await run('none', {}, changes);
    const policy: PolicyInput = { hostExpertRows: 1000, prefillBatch: many.length };
    const result = await run('fiddler', policy, changes);
    expect(result.nearTies).toBe(0);
    expect(result.sequences.map(({ ids }) => ids)).toEqual(plain.sequences.map(({ ids }) => ids));
    const rows = spansOf(result, 'expert').map((span) => [span.lane, span.rows]);
    expect(rows).toContainEqual(['host', many.flat().length]);
  });

  it('of apex attends to the first micro-batch on the device and to the others on the host, each where its cache is', async () => {
    const policy: PolicyInput = { microBatch: 2, prefillBatch: prompts.length };
    const split = await run('apex', policy);
    const onHost = await run('none', { ...policy, prefillAttention: 'device' });
    const scores = (lane: string) =>
      sum(spansOf(split, 'attention', 'decode').flatMap((span) => (span.lane === lane ? span.rows : [])));
    const rounds = (maxNewTokens - 1) * config.numLayers;
    expect([scores('device'), scores('host')]).toEqual([2 * rounds, (prompts.length - 2) * rounds]);
    // Nothing of the device's part ever crosses, and of the others' only what prefill makes.
    expect(spansOf(split, 'fetch')).toEqual([]);
    expect(spansOf(split, 'store', 'decode')).toEqual([]);
    const stored = sum(spansOf(split, 'store').map(({ bytes }) => bytes));
    expect(stored).toBe(prompts.slice(2).flat().length * config.numLayers * cacheBytesPerToken);
    expect(split.memoryBytes.host, 'the device has a part of the cache').toBeLessThan(
      onHost.memoryBytes.host,
    );
  });

  it('of hetegen sends only what the device computes, and adds what the host makes of the rest', async () => {
    const whole = await run('hetegen', { hostShare: 0 });
    const result = await run('hetegen', { hostShare: 0.5 });
    const perPass = ({ spans, passes }: RunResult) => {
      const uploads = spans.filter(
        ({ kind, pass, name }) => kind === 'upload' && pass === passes - 1 && /expert/.test(name),
      );
      return sum(uploads.map(({ bytes }) => bytes));
    };
    expect(perPass(result) / perPass(whole)).toBeCloseTo(0.5, 5);
    const experts = spansOf(result, 'expert', 'decode');
    const rowsOn = (lane: string) => sum(experts.flatMap((span) => (span.lane === lane ? span.rows : [])));
    // The first decode pass's weights were on their way before there was anything to share.
    const shared = experts.filter(({ lane }) => lane === 'host').map(({ pass }) => pass);
    expect(Math.min(...shared)).toBe(2);
    expect(rowsOn('host')).toBe((rowsOn('device') * (maxNewTokens - 2)) / (maxNewTokens - 1));
    expect(spansOf(result, 'merge')).toHaveLength(experts.length - spansOf(whole, 'expert', 'decode').length);
  });

  it.each(['measured', 'printed'] as const)(
    'of hetegen whose balance is %s computes on the host what the lanes took alone',
    async (balance) => {
      const whole = await run('hetegen', { hostShare: 0 });
      const result = await run('hetegen', { balance });
      expect(result.sequences.map(({ ids }) => ids)).toEqual(whole.sequences.map(({ ids }) => ids));
      expect(result.hostShares!.attention).toBe(0);
      expect(result.hostShares!.expert).toBeGreaterThan(0);
      expect(result.hostShares!.expert).toBeLessThan(1);
      expect(spansOf(result, 'expert', 'decode').some(({ lane }) => lane === 'host')).toBe(true);
      // Trials are before anything counts.
      expect(result.spans.every(({ pass }) => pass >= 0)).toBe(true);
    },
  );

  it.each(cannotShare)('of hetegen with %s says why its FFNs cannot be shared', async (name) => {
    const model = await openCheckpoint(goldenDirectory(name));
    await expect(run('hetegen', {}, { target: model, prompts: [[1]] })).rejects.toThrow(
      /^invalid hostShare: 0.2; .* has (biases|norms behind its FFNs), so that its FFNs cannot be computed in two parts/,
    );
  });

  it('counts a cache on the device against the device, and one on the host against the host', async () => {
    const onDevice = (await run('flexgen', { cache: 'device' })).memoryBytes;
    const onHost = (await run('flexgen', { cache: 'host' })).memoryBytes;
    const block = 4096;
    const tokens = sum(prompts.map(({ length }) => Math.ceil((length + maxNewTokens) / 4) * 4));
    const layerBytes = Math.ceil((tokens * cacheBytesPerToken) / block) * block;
    expect(onHost.host - onDevice.host).toBe(config.numLayers * layerBytes);
    // In its place, two buffers of one layer's part.
    expect(onDevice.device - onHost.device).toBe((config.numLayers - 2) * layerBytes);
  });

  it('takes host memory for experts only where the host computes them', async () => {
    const policy: PolicyInput = { experts: 'routed' };
    const without = (await run('none', policy)).memoryBytes;
    const few = (await run('none', { ...policy, hostExpertRows: 2 })).memoryBytes;
    const many = (await run('none', { ...policy, hostExpertRows: 1000 })).memoryBytes;
    expect(few.device).toBe(without.device);
    expect(few.host).toBeGreaterThan(without.host);
    expect(many.host).toBeGreaterThanOrEqual(few.host);
    expect((await run('none')).memoryBytes).toEqual(without);
  });

  it.each<[StrategyName, PolicyInput]>([
    ['none', {}],
    ['serial', { candidates: 3, microBatch: 1 }],
    ['serial', { candidates: 2, speculation: 'ahead', attention: 'device' }],
    ['specoffload', { candidates: 3, decodeBatch: 1, draftPlacement: 'after-prefill' }],
    ['serial', { candidates: 3, attention: 'split' }],
    ['none', { projections: 'host', microBatch: 1 }],
  ])(
    'of %s with %o gives places of who has ended to who waits, each text what it is without',
    async (strategy, policy) => {
      // Sequences end at different times, one of them at once.
      const eosTokenIds = [expected[0][0], expected[1][3]];
      const ending: Checkpoint = { ...target, spec: { ...target.spec, eosTokenIds } };
      const places: PolicyInput = { decodeBatch: 2, prefillBatch: 1, ...policy };
      const usual = await run(strategy, places, { target: ending });
      const refilled = await run(strategy, { ...places, refill: 'yes' }, { target: ending });
      expect(refilled.outputDigest).toBe(usual.outputDigest);
      const told = ({ sequences }: RunResult) =>
        sequences.map(({ stopReason, routerMargins }) => [
          stopReason,
          ...routerMargins.map((m) => m.toFixed(3)),
        ]);
      expect(told(refilled)).toEqual(told(usual));
      expect(refilled.passes).toBeLessThan(usual.passes);
      const inDecode = spansOf(refilled, 'embed', 'decode').map(({ rows }) => rows);
      const most = (policy.candidates ?? 0) + 1;
      expect(Math.max(...inDecode), 'a whole prompt among the others').toBeGreaterThan(2 * most);
    },
  );

  describe('that ends with the slowest', () => {
    const slowest: PolicyInput = { ending: 'slowest' };

    it.each<[StrategyName, PolicyInput]>([
      ['none', {}],
      ['serial', { candidates: 4 }],
      ['serial', { candidates: 16, decodeBatch: 3 }],
      ['specoffload', { candidates: 3 }],
      ['specoffload', { candidates: 3, attention: 'device', microBatch: 1 }],
      ['fiddler', { speculation: 'serial' }],
    ])('%s with %o keeps the tokens that were asked for, and counts the others', async (strategy, policy) => {
      const usual = await run(strategy, policy);
      const result = await run(strategy, { ...policy, ...slowest });
      expect(result.outputDigest).toBe(usual.outputDigest);
      expect(result.newTokens).toBe(prompts.length * maxNewTokens);
      expect(result.nearTies).toBe(usual.nearTies);
      for (const { ids, margins, routerMargins, stopReason } of result.sequences) {
        expect([ids.length, margins.length, routerMargins.length]).toEqual(Array(3).fill(maxNewTokens));
        expect(stopReason).toBe('length');
      }
      expect(usual.generatedTokens).toBe(usual.newTokens);
      // Without a draft all sequences advance together.
      if (strategy === 'none') expect(result.generatedTokens).toBe(result.newTokens);
      else expect(result.generatedTokens).toBeGreaterThan(result.newTokens);
    });

    it('ends after prefill when that is all that was asked for', async () => {
      const result = await run('serial', slowest, { target, maxNewTokens: 1 });
      expect(result.passes).toBe(1);
      expect(result.sequences.map(({ ids }) => ids)).toEqual(expected.map(([id]) => [id]));
    });

    it.each<StrategyName>(['none', 'serial', 'specoffload'])(
      '%s lets nobody wait for a sequence that has ended by itself',
      async (strategy) => {
        const eosTokenIds = [expected[0][2]];
        const ending: Checkpoint = { ...target, spec: { ...target.spec, eosTokenIds } };
        const usual = await run(strategy, {}, { target: ending });
        const result = await run(strategy, slowest, { target: ending });
        expect(result.outputDigest).toBe(usual.outputDigest);
        expect(result.sequences.map(({ stopReason }) => stopReason)).toEqual(
          usual.sequences.map(({ stopReason }) => stopReason),
        );
        expect(usual.sequences.some(({ stopReason }) => stopReason === 'eos')).toBe(true);
        expect(result.newTokens).toBe(usual.newTokens);
        if (strategy === 'none') expect(result.passes).toBe(usual.passes);
      },
    );
  });

  it('for logits is the same wherever the attention is', async () => {
    const host = await runLogits({ target, prompts, machine, policy: streamed });
    const device = await runLogits({ target, prompts, machine, policy: { attention: 'device' } });
    expect(device.map((logits) => [...logits])).toEqual(host.map((logits) => [...logits]));
    // Whose products have fewer rows may round otherwise.
    const split = await runLogits({ target, prompts, machine, policy: { attention: 'split' } });
    for (const [index, logits] of split.entries())
      expect(maxDifference(logits, [...host[index]])).toBeLessThan(1e-5);
  });
});
