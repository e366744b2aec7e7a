/**
 * Random models, prompts and policies against the plain reference. A difference where the target is undecided to
 * within rounding is a tie: counted and reported below, everything else fails.
 */

import {
  AcceptanceCounter,
  type Checkpoint,
  createRandom,
  type DeviceChoice,
  type DrafterName,
  drafterNames,
  loadReferenceWeights,
  needsDraft,
  type PolicyInput,
  policyFields,
  type Random,
  type ReferenceWeights,
  type RunResult,
  referenceGreedy,
  runEngine,
  type Span,
  type StrategyName,
  speculates,
  strategies,
} from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { formatsOf } from '../../engine/dist/machine/devices.js';
import { drafterNamed } from '../../engine/dist/schedule/drafters.js';
import { ffnChunkRows, headChunkRows } from '../../engine/dist/schedule/memory-plan.js';
import { planMemory } from '../../engine/dist/schedule/placement.js';
import type { PolicyField } from '../../engine/dist/schedule/policy.js';
import { measureDemand, planWaves, resolvePolicy } from '../../engine/dist/schedule/resolve.js';
import {
  drawConfig,
  drawDrafter,
  drawFamilyJson,
  drawPlaces,
  drawPolicy,
  drawPrompts,
  integer,
  pick,
} from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { type Comparison, compare, type Judgement, judge } from './oracle.js';
import { toConfigJson, writeTinyCheckpoint, writeTinyModel } from './tiny.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const seed = 1;
const numModels = 16;
const strategyNames: readonly StrategyName[] = ['none', 'serial', 'specoffload'];
const competitors: readonly StrategyName[] = [
  ...(['accelerate', 'deepspeed', 'flexgen', 'fiddler', 'hetegen', 'apex'] as const),
];
/** Runs per model: each strategy, one of them in other places, one competitor as it is and one in other places. */
const runsPerModel = strategyNames.length + 3;
/** Of one in so many models all runs are done on a GPU instead, where there is one. */
const gpuEvery = 5;

interface Case {
  readonly target: Checkpoint;
  readonly weights: ReferenceWeights;
  readonly draft: Checkpoint;
  readonly prompts: readonly (readonly number[])[];
  readonly maxNewTokens: number;
}

const totals = {
  ...{ runs: 0, sequences: 0, tokens: 0, eos: 0, nearTies: 0, choseOtherwise: 0 },
  ...{ mostExpertRows: 0, mostHeadRows: 0 },
};
const partialRates: number[] = [];
let alternateHits = 0;
/** Every field with its value, of every run. */
const met = new Set<string>();
/** Of a GPU alone, of predictions alone, and of what decides by measured times. */
const elsewhere = new Set([
  'keptExperts in-place',
  'keptAttention in-place',
  'adaptCandidates yes',
  'overlap asynchronous',
  'overlap by-rule',
  ...['attention', 'experts', 'layers', 'head', 'draft'].map((word) => `crossbars ${word}`),
]);
const drafters = new Set<DrafterName>();
const architectures = new Set<string>();
const directory = createTemporaryDirectory();

afterAll(() => {
  console.info(
    `property test, seed ${seed}: ${totals.runs} runs, ${totals.sequences} sequences (${totals.eos} ended at their ` +
      `own eos), ${totals.tokens} tokens; ${totals.nearTies} undecided to within rounding, of which the engine ` +
      `chose otherwise than the reference at ${totals.choseOtherwise}; partial acceptance in ${partialRates.length} runs`,
  );
});

describe.each(Array.from({ length: numModels }, (_, index) => index))('random model %i', (index) => {
  it('writes what the reference writes, under every strategy', async () => {
    const random = createRandom(seed, `model ${index}`);
    const drawn = await drawCase(random, index);
    const judged = new Map<string, Judgement[]>();
    const device = whyNoVulkan === null && index % gpuEvery === 1 ? watchedVulkan : undefined;
    const inPlace: PolicyInput =
      device && index % (2 * gpuEvery) === 1 ? { keptExperts: 'in-place', keptAttention: 'in-place' } : {};
    const runs = strategyNames.map(
      (strategy) => [strategy, drawPolicy(random, strategy, drawn.prompts.length)] as const,
    );
    const who = createRandom(seed, `drafters ${index}`);
    const placed = drawPlacedRuns(index, drawn.prompts.length);
    const ahead = drawPolicy(createRandom(seed, `ahead ${index}`), 'ahead', drawn.prompts.length);
    for (const [strategy, wish] of [...runs, ...placed, ...(index % 2 ? [['ahead', ahead] as const] : [])]) {
      const shared = canShare(drawn.target) ? wish : { ...wish, hostShare: 0, balance: 'given' as const };
      const policy = { ...shared, ...inPlace };
      const drafter = drawDrafter(who);
      const { layers, architecture } = drawn.target.spec;
      const title = `${architecture}, ${layers.length} layers, ${drawn.prompts.length} prompts, ${drafter}, ${strategy} ${JSON.stringify(policy)}`;
      const result = await runWithin(drawn, strategy, policy, device, drafter);
      if (speculates(strategy, policy)) drafters.add(drafter);
      for (const [field, value] of Object.entries(result.policy)) met.add(`${field} ${value}`);
      assertEnds(result, drawn, title);
      assertNoPadding(result, drawn, title);
      const comparisons = assertReference(result, drawn, judged, title);
      count(result, comparisons);
      for (const tie of comparisons.flatMap(({ ties }) => ties)) console.info(`a tie, ${title}: ${tie}`);
    }
    expect(validationMessages()).toEqual([]);
  });
});

it('detects, counts and reports ties where every token has a near equal', async () => {
  const random = createRandom(seed, 'ties');
  const config = { ...drawConfig(random), tieEmbeddings: false, eosTokenIds: [] };
  const target = await writeTinyModel(directory, 'ties', config, { dtype: 'f32', seed, twinTokens: true });
  const weights = await loadReferenceWeights(target);
  const prompts = drawPrompts(random, 12, 10, config.vocabSize);
  const drawn: Case = { target, draft: target, weights, prompts, maxNewTokens: 12 };
  for (const strategy of strategyNames) {
    const result = await runWithin(drawn, strategy, { candidates: 3, pinnedLayers: 0, keptLayers: 0 });
    // An odd vocabulary's last token is even and has none.
    const ties = result.sequences
      .flatMap(({ ids }) => ids)
      .filter((id) => (id ^ 1) < config.vocabSize).length;
    expect(ties).toBeGreaterThan(result.newTokens / 2);
    expect(result.nearTies).toBe(ties);
    const comparisons = assertReference(result, drawn, new Map(), `ties, ${strategy}`);
    const choseOtherwise = comparisons.flatMap(({ ties }) => ties).length;
    expect(choseOtherwise, 'the engine adds in another order than the reference').toBeGreaterThan(0);
    expect(choseOtherwise).toBeLessThan(ties);
  }
});

it('proposes what the draft alone would write, whatever it keeps of its cache after a rejection', async () => {
  const random = createRandom(seed, 'proposals');
  const config = { ...drawConfig(random), architecture: 'mistral', numLayers: 2, numExperts: 1 } as const;
  const dense = { ...config, expertsPerToken: 1, slidingWindow: 7 };
  const target = await writeTinyModel(directory, 'proposals', dense, { dtype: 'f32', seed });
  const draft = await writeTinyModel(directory, 'proposer', dense, { dtype: 'f32', seed, perturbation: 0.3 });
  const draftWeights = await loadReferenceWeights(draft);
  const [candidates, maxNewTokens] = [3, 20];
  const prompts = drawPrompts(random, 5, 12, config.vocabSize);
  const drawn: Case = { target, draft, weights: draftWeights, prompts, maxNewTokens };
  for (const strategy of ['serial', 'specoffload'] as const)
    for (const draftCache of ['resident', 'recompute', 'window'] as const) {
      const draftWindow = draftCache === 'window' ? 5 : 64;
      const policy = { candidates, draftCache, draftWindow, draftBatch: 2, pinnedLayers: 0, keptLayers: 0 };
      const { sequences, acceptance } = await runWithin(drawn, strategy, policy);
      const expected = sequences.map(({ ids }, index) =>
        countAcceptance(draftWeights, prompts[index], ids, {
          candidates,
          maxNewTokens,
          draftWindow,
        }).report(),
      );
      const sum = (field: 'proposed' | 'accepted') =>
        expected.reduce((total, report) => total + (report?.[field] ?? 0), 0);
      expect(
        { proposed: acceptance?.proposed, accepted: acceptance?.accepted },
        `${strategy}, ${draftCache}`,
      ).toEqual({
        proposed: sum('proposed'),
        accepted: sum('accepted'),
      });
      expect(acceptance?.rate, 'some stand, some fall').toBeGreaterThan(0.2);
      expect(acceptance?.rate, 'some stand, some fall').toBeLessThan(0.95);
    }
});

it('met partial acceptance, rejection, ends of sequences, and not only ties', () => {
  expect(partialRates.length).toBeGreaterThanOrEqual(numModels / 4);
  expect(Math.max(...partialRates)).toBeGreaterThan(0.5);
  expect(Math.min(...partialRates)).toBeLessThan(0.5);
  expect(totals.eos).toBeGreaterThan(totals.sequences / 20);
  expect(totals.eos).toBeLessThan(totals.sequences);
  expect(totals.mostExpertRows, 'FFNs that go in pieces').toBeGreaterThan(ffnChunkRows);
  expect(totals.mostHeadRows, 'heads that go in pieces').toBeGreaterThan(headChunkRows);
  expect(totals.runs).toBe(numModels * (runsPerModel + 1 / 2));
  for (const [name, field] of Object.entries<PolicyField>(policyFields))
    if (field.kind === 'choice')
      for (const word of Object.keys(field.words))
        if (!elsewhere.has(`${name} ${word}`)) expect(met).toContain(`${name} ${word}`);
  expect(met).toContain('hostShare 0.6');
  expect(alternateHits).toBeGreaterThan(25);
  expect([...drafters].sort()).toEqual([...drafterNames].sort());
  expect(architectures.size).toBeGreaterThanOrEqual(8);
});

/** Whether its FFNs are sums of what their neurons make. */
function canShare({ spec: { layers } }: Checkpoint): boolean {
  return layers.every(({ ffn, norms }) => !ffn.biases && norms.afterFfn === null);
}

/** Runs that differ in where and when things happen; some of the competitors' speculate, too. */
function drawPlacedRuns(index: number, numPrompts: number): (readonly [StrategyName, PolicyInput])[] {
  const random = createRandom(seed, `places ${index}`);
  const own = strategyNames[index % strategyNames.length];
  const speculation = () => ({ speculation: pick(random, ['none', 'serial'] as const) });
  return [
    [
      own,
      {
        ...drawPolicy(random, own, numPrompts),
        ...drawPlaces(random, numPrompts),
        ...(own === 'serial' ? { speculation: pick(random, ['serial', 'ahead'] as const) } : {}),
      },
    ],
    [competitors[index % competitors.length], { pinnedLayers: 0, keptLayers: 0, ...speculation() }],
    [
      competitors[(index + 1) % competitors.length],
      {
        ...drawPolicy(random, 'serial', numPrompts),
        ...drawPlaces(random, numPrompts),
        ...{ batches: 1, ...speculation() },
      },
    ],
  ];
}

/** The draft is the target with noise on every weight, so that it agrees sometimes; now and then a stranger. */
async function drawCase(random: Random, index: number): Promise<Case> {
  const config = drawConfig(random);
  const dtype = pick(random, ['bf16', 'f32', 'mixed'] as const);
  // Every second one is of another family.
  const plain = toConfigJson(config);
  const json =
    index % 2 === 0 ? plain : drawFamilyJson(createRandom(seed, `family ${index}`), index >> 1, plain);
  const target = await writeTinyCheckpoint(directory, `target-${index}`, json, { dtype, seed: index });
  architectures.add(target.spec.architecture);
  const isStranger = random.uniform() < 0.2;
  const draftJson = isStranger ? toConfigJson({ ...drawConfig(random), vocabSize: config.vocabSize }) : json;
  const perturbation = isStranger ? 0 : pick(random, [0.02, 0.05, 0.1, 0.2]);
  const draft = await writeTinyCheckpoint(directory, `draft-${index}`, draftJson, {
    ...{ dtype, perturbation },
    seed: isStranger ? index + 1000 : index,
  });
  const numPrompts = pick(random, [1, 2, 3, 5, 9, 17, 33, 64]);
  const prompts = drawPrompts(random, numPrompts, 24, config.vocabSize);
  const maxNewTokens = integer(random, 1, 18);
  // An end-of-sequence id that occurs: one that the first sequence comes to.
  const weights = await loadReferenceWeights(target);
  const eosTokenIds = referenceGreedy(weights, prompts[0], integer(random, 1, 6)).ids.slice(-1);
  return {
    target: { ...target, spec: { ...target.spec, eosTokenIds } },
    weights,
    draft,
    prompts,
    maxNewTokens,
  };
}

/** Runs with budgets that are just large enough, to the byte. */
async function runWithin(
  drawn: Case,
  strategy: StrategyName,
  asked: PolicyInput,
  device?: DeviceChoice,
  drafter: DrafterName = 'model',
): Promise<RunResult> {
  const { target, draft, prompts, maxNewTokens } = drawn;
  const isSelf = drafter === 'self' && speculates(strategy, asked);
  const policy = isSelf ? { ...asked, pinnedLayers: Math.max(1, asked.pinnedLayers ?? 1) } : asked;
  const open = resolvePolicy(strategies[strategy], policy, prompts.length);
  const promptLengths = prompts.map(({ length }) => length);
  const demand = measureDemand(open, planWaves(open, prompts.length), promptLengths, maxNewTokens);
  const endless = { deviceBytes: Number.POSITIVE_INFINITY, hostBytes: Number.POSITIVE_INFINITY };
  const usedDraft = open.speculation === 'none' || !needsDraft(drafter) ? null : draft;
  const { pools, prefetchDepth } = planMemory(
    target,
    open.speculation === 'none' ? null : drafterNamed(drafter, draft),
    demand,
    endless,
    open,
    formatsOf(device),
  );
  const machine = { deviceBytes: pools.device.totalBytes, hostBytes: pools.host.totalBytes };
  const result = await runEngine({
    target,
    draft: usedDraft,
    drafter,
    prompts,
    strategy,
    // Where the policy leaves it open it depends on the budgets, and would be less within these.
    policy: { ...policy, prefetchDepth },
    maxNewTokens,
    machine,
    device,
  });
  expect(result.memory.device.peakBytes).toBe(machine.deviceBytes);
  expect(result.memory.host.peakBytes).toBe(machine.hostBytes);
  return result;
}

/** Every sequence ends at its own end-of-sequence token or at the limit, and nowhere else. */
function assertEnds(
  { sequences, newTokens }: RunResult,
  { target, maxNewTokens }: Case,
  title: string,
): void {
  const { eosTokenIds } = target.spec;
  for (const { ids, margins, routerMargins, stopReason } of sequences) {
    const eos = ids.findIndex((id) => eosTokenIds.includes(id));
    const expected =
      eos === -1 ? { length: maxNewTokens, stopReason: 'length' } : { length: eos + 1, stopReason: 'eos' };
    expect({ length: ids.length, stopReason }, title).toEqual(expected);
    expect([margins.length, routerMargins.length], title).toEqual([ids.length, ids.length]);
  }
  expect(newTokens, title).toBe(sequences.reduce((sum, { ids }) => sum + ids.length, 0));
}

/**
 * Rows that went through the target's layers are the tokens that were fed, and nothing besides. With attention on the
 * device, projections and output are part of it.
 */
function assertNoPadding(
  { spans, acceptance, generatedTokens, policy }: RunResult,
  { target, prompts }: Case,
  title: string,
): void {
  const { layers } = target.spec;
  const numLayers = layers.length;
  const expertsPerToken = layers.reduce((sum, { ffn }) => sum + ffn.expertsPerToken, 0) / numLayers;
  // Whoever takes another's place is prefilled in a verification, among the others.
  const places = policy.refill === 'yes' ? policy.decodeBatch * policy.batches : prompts.length;
  const numJoined = Math.max(0, prompts.length - places);
  const decoded = generatedTokens - prompts.length + numJoined; // a prefill brings each sequence's first token
  // One row for the last token of each sequence and verification, one for each candidate.
  const verifications = (acceptance ? Math.round(decoded / acceptance.tokensPerRound) : decoded) - numJoined;
  const prefilled = prompts.slice(0, places).flat().length;
  const alternates = acceptance?.alternates ?? { proposed: 0, hits: 0 };
  const least = prompts.flat().length + verifications + (acceptance?.proposed ?? 0) + alternates.proposed;
  const rowsOf = (kind: Span['kind'], lane?: string) =>
    spans
      .filter((span) => span.kind === kind && (lane === undefined || span.lane === lane))
      .reduce((sum, { rows }) => sum + rows, 0);
  // An alternate that stood is fed again, unless its sequence has ended.
  const fed = Math.max(least, Math.min(rowsOf('embed'), least + alternates.hits));
  alternateHits += alternates.hits;
  // Where the host projects, hidden states are read for it and come back.
  const onHost =
    policy.attention === 'split'
      ? rowsOf('attention', 'host') / numLayers
      : (policy.prefillAttention === 'host' ? prefilled : 0) +
        (policy.attention === 'host' ? fed - prefilled : 0);
  expect(
    {
      embed: rowsOf('embed'),
      project: rowsOf('project'),
      attention: rowsOf('attention'),
      mix: rowsOf('mix'),
    },
    title,
  ).toEqual({
    embed: fed,
    project: onHost * numLayers,
    attention: fed * numLayers,
    mix: onHost * numLayers,
  });
  // A share on the host goes by the expert's own name, beside the device's.
  const shares = spans.filter(
    ({ kind, lane, name }) => kind === 'expert' && lane === 'host' && !/on host/.test(name),
  );
  const ofShares = shares.reduce((sum, { rows }) => sum + rows, 0);
  expect(rowsOf('expert') - ofShares, title).toBe(fed * numLayers * expertsPerToken);
}

function assertReference(
  { sequences }: RunResult,
  { weights, prompts }: Case,
  judged: Map<string, Judgement[]>,
  title: string,
): Comparison[] {
  return sequences.map((sequence, index) => {
    const key = `${index} ${sequence.ids}`; // strategies that wrote the same need the reference once
    const judgements = judged.get(key) ?? judge(weights, prompts[index], sequence.ids);
    judged.set(key, judgements);
    const comparison = compare(judgements, sequence);
    expect(comparison.errors, `${title}, prompt ${index}`).toEqual([]);
    return comparison;
  });
}

function count(
  { sequences, acceptance, newTokens, spans }: RunResult,
  comparisons: readonly Comparison[],
): void {
  const mostRows = (kind: Span['kind']) =>
    spans.reduce((most, span) => (span.kind === kind ? Math.max(most, span.rows) : most), 0);
  totals.runs += 1;
  totals.sequences += sequences.length;
  totals.tokens += newTokens;
  totals.eos += sequences.filter(({ stopReason }) => stopReason === 'eos').length;
  totals.nearTies += comparisons.reduce((sum, { nearTies }) => sum + nearTies, 0);
  totals.choseOtherwise += comparisons.flatMap(({ ties }) => ties).length;
  totals.mostExpertRows = Math.max(totals.mostExpertRows, mostRows('expert'));
  totals.mostHeadRows = Math.max(totals.mostHeadRows, mostRows('head'));
  if (acceptance && 0 < acceptance.rate && acceptance.rate < 1) partialRates.push(acceptance.rate);
}

/**
 * Verification as in a textbook, one sequence at a time: the draft, from nothing, continues what the target has
 * written so far, or the latest of it, and of that stands what the target writes next. Counts by candidate position.
 */
function countAcceptance(
  draft: ReferenceWeights,
  prompt: readonly number[],
  ids: readonly number[],
  {
    candidates,
    maxNewTokens,
    draftWindow,
  }: Readonly<Record<'candidates' | 'maxNewTokens' | 'draftWindow', number>>,
): AcceptanceCounter {
  const counter = new AcceptanceCounter();
  for (let written = 1; written < ids.length; ) {
    const wanted = Math.min(candidates, maxNewTokens - written - 1);
    const known = [...prompt, ...ids.slice(0, written)].slice(-draftWindow);
    const proposal = wanted === 0 ? [] : referenceGreedy(draft, known, wanted).ids;
    let accepted = 0;
    while (accepted < proposal.length && proposal[accepted] === ids[written + accepted]) accepted += 1;
    counter.count(proposal.length, accepted, Math.min(accepted + 1, ids.length - written));
    written += accepted + 1;
  }
  return counter;
}
