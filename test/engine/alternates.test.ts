/** The drafter's second choices beside its candidates: the same tokens in fewer passes, and what that is predicted to bring. */

import {
  type AcceptanceRates,
  closedForm,
  createRandom,
  type DrafterName,
  expectedTokens,
  loadReferenceWeights,
  type PolicyInput,
  parseAcceptance,
  placeContender,
  type ReferenceWeights,
  type RunResult,
  recordAcceptance,
  referenceLogits,
  runEngine,
  type SamplingInput,
  type StrategyName,
  simulateRun,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { pickAlternates } from '../../engine/dist/speculate/alternates.js';
import { leadersOf } from '../../engine/dist/speculate/leaders.js';
import { drawConfig, drawPrompts } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { mistral, mixtral, workstation } from './plan-cases.js';
import { writeTinyModel } from './tiny.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const seed = 3;
const directory = createTemporaryDirectory();
const maxNewTokens = 18;
let base: Awaited<ReturnType<typeof createBase>>;

async function createBase() {
  const random = createRandom(seed, 'alternates');
  const config = { ...drawConfig(random), numLayers: 3, slidingWindow: 9, eosTokenIds: [] };
  const target = await writeTinyModel(directory, 'target', config, { dtype: 'f32', seed });
  const draft = await writeTinyModel(directory, 'draft', config, { dtype: 'f32', seed, perturbation: 0.2 });
  const prompts = drawPrompts(random, 6, 14, config.vocabSize);
  return {
    ...{ target, draft, prompts, maxNewTokens, stopAtEos: false },
    machine: { deviceBytes: 64e6, hostBytes: 64e6 },
    weights: await loadReferenceWeights(draft),
  };
}

interface Wish {
  readonly strategy?: StrategyName;
  readonly policy?: PolicyInput;
  readonly drafter?: DrafterName;
  readonly kind?: 'cpu' | 'isolated';
  readonly sampling?: SamplingInput;
}

const small = { pinnedLayers: 1, keptLayers: 1 };

function run({
  strategy = 'serial',
  policy = {},
  drafter,
  kind = 'cpu',
  sampling,
}: Wish): Promise<RunResult> {
  const { weights: _, ...request } = base;
  return runEngine({
    ...{ ...request, strategy, sampling, device: { kind } },
    ...(drafter ? { drafter } : {}),
    policy: { ...small, ...policy },
  });
}

/** What is written without anybody who proposes, once for all that are held to it. */
const alone = new Map<string, Promise<RunResult>>();
let gpuAlone: Promise<RunResult> | undefined;
let withoutAlternates: Promise<RunResult> | undefined;

function runAlone(sampling?: SamplingInput): Promise<RunResult> {
  const name = JSON.stringify(sampling ?? 'greedy');
  const known = alone.get(name) ?? run({ strategy: 'none', sampling });
  alone.set(name, known);
  return known;
}

/** The draft's logits behind a text, once for all who ask. */
const remembered = new Map<string, Float32Array>();

/** One pass over a whole text, by the textbook, says what the draft makes of each of its beginnings. */
function rememberBeginnings(draft: ReferenceWeights, text: readonly number[], first: number): void {
  if (remembered.has(text.join())) return;
  for (const [last, logits] of referenceLogits(draft, text).entries())
    if (last >= first) remembered.set(text.slice(0, last + 1).join(), logits);
}

function logitsBehind(draft: ReferenceWeights, text: readonly number[]): Float32Array {
  const name = text.join();
  const logits = remembered.get(name) ?? referenceLogits(draft, text, { positions: 'last' })[0]!;
  remembered.set(name, logits);
  return logits;
}

/** What the draft goes on with, greedily: of equal ones the lowest token. */
function continuation(draft: ReferenceWeights, text: readonly number[], count: number): number[] {
  const ids: number[] = [];
  while (ids.length < count) {
    const logits = logitsBehind(draft, [...text, ...ids]);
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return ids;
}

beforeAll(async () => {
  base = await createBase();
});

describe('a run with alternates', () => {
  it.each<[Wish['kind'], StrategyName, PolicyInput, DrafterName?]>([
    ['cpu', 'serial', { candidates: 5, alternates: 5 }],
    ['cpu', 'serial', { candidates: 5, alternates: 2, projections: 'host' }],
    ['isolated', 'serial', { candidates: 4, alternates: 4, attention: 'device' }],
    ['isolated', 'serial', { candidates: 4, alternates: 3, attention: 'device', cache: 'device' }],
    ['isolated', 'serial', { candidates: 3, alternates: 3, attention: 'split', microBatch: 2 }],
    [
      'cpu',
      'specoffload',
      { candidates: 3, alternates: 3, draftCache: 'window', draftWindow: 7, draftBatch: 1 },
    ],
    [
      'cpu',
      'specoffload',
      { candidates: 4, alternates: 1, decodeBatch: 1, refill: 'yes', joinBatches: 'yes' },
    ],
    ['cpu', 'serial', { candidates: 5, alternates: 5, adaptCandidates: 'yes', draftCache: 'recompute' }],
    ['cpu', 'serial', { candidates: 3, alternates: 3, speculation: 'ahead' }],
    ['isolated', 'flexgen', { candidates: 3, alternates: 2, speculation: 'serial' }],
    ['cpu', 'serial', { candidates: 4, alternates: 4, draftLayers: 2, pinnedLayers: 3 }, 'self'],
    ['cpu', 'serial', { candidates: 5, alternates: 3, alternateTokens: 4 }],
    [
      'isolated',
      'serial',
      { candidates: 4, alternates: 4, alternateTokens: 3, attention: 'device', draftBatch: 2 },
    ],
    [
      'isolated',
      'specoffload',
      {
        candidates: 5,
        alternates: 2,
        alternateTokens: 5,
        draftCache: 'window',
        draftWindow: 6,
        draftBatch: 2,
      },
    ],
    [
      'cpu',
      'specoffload',
      {
        candidates: 4,
        alternates: 2,
        alternateTokens: 3,
        draftCache: 'recompute',
        refill: 'yes',
        decodeBatch: 2,
      },
    ],
    [
      'cpu',
      'serial',
      {
        candidates: 4,
        alternates: 3,
        alternateTokens: 4,
        speculation: 'ahead',
        attention: 'split',
        microBatch: 3,
      },
    ],
    [
      'cpu',
      'serial',
      { candidates: 4, alternates: 3, alternateTokens: 4, draftLayers: 2, pinnedLayers: 3 },
      'self',
    ],
    ['cpu', 'serial', { candidates: 4, alternates: 4 }, 'prompt-lookup'],
    ['cpu', 'serial', { candidates: 4, alternates: 2 }, 'suffix-automaton'],
  ])('writes what the target writes alone: %s, %s with %o', async (kind, strategy, policy, drafter) => {
    const alone = await runAlone();
    const { outputDigest, acceptance } = await run({ kind, strategy, policy, ...(drafter && { drafter }) });
    expect(outputDigest).toBe(alone.outputDigest);
    expect(acceptance?.alternates?.proposed).toBeGreaterThan(0);
  });

  it.each([
    { temperature: 0.8, topK: 9 },
    { temperature: 1.1, presencePenalty: 0.5, repetitionPenalty: 1.2 },
  ])('draws what the target draws alone: %o', async (sampling) => {
    const alone = await runAlone(sampling);
    const { outputDigest, acceptance } = await run({ policy: { candidates: 4, alternates: 4 }, sampling });
    expect(outputDigest).toBe(alone.outputDigest);
    expect(acceptance?.alternates?.hits).toBeGreaterThan(0);
  });

  it.each([
    { alternates: 1, alternateTokens: 1 },
    { alternates: 5, alternateTokens: 1 },
    { alternates: 1, alternateTokens: 3 },
    { alternates: 2, alternateTokens: 5 },
    { alternates: 5, alternateTokens: 2, draftBatch: 4 },
  ])('verifies what the draft is least sure of, as a textbook would: %o', async (wish) => {
    const policy = { candidates: 5, ...wish };
    const { sequences, acceptance, passes } = await run({ policy });
    withoutAlternates ??= run({ policy: { candidates: 5 } });
    const without = await withoutAlternates;
    const expected = { proposed: 0, accepted: 0, alternates: { proposed: 0, hits: 0, tokens: 0 } };
    for (const [index, { ids }] of sequences.entries())
      countRounds(base.weights, base.prompts[index], ids, policy, expected);
    const { proposed, accepted } = acceptance!;
    expect({ proposed, accepted, alternates: acceptance!.alternates }).toEqual(expected);
    expect(expected.alternates.hits).toBeGreaterThan(3);
    expect(passes).toBeLessThanOrEqual(without.passes);
    expect(acceptance!.tokensPerRound).toBeGreaterThan(without.acceptance!.tokensPerRound);
  });

  it.runIf(whyNoVulkan === null).each<PolicyInput>([
    { candidates: 4, alternates: 3, attention: 'device', alternateTokens: 3 },
    {
      candidates: 4,
      alternates: 4,
      attention: 'device',
      cache: 'device',
      draftCache: 'window',
      draftWindow: 8,
    },
  ])('writes it on a GPU: %o', async (policy) => {
    const { weights: _, ...request } = base;
    const onGpu = { ...request, maxNewTokens: 10, device: watchedVulkan };
    gpuAlone ??= runEngine({ ...onGpu, strategy: 'none', policy: small });
    const alone = await gpuAlone;
    const tree = await runEngine({ ...onGpu, strategy: 'serial', policy: { ...small, ...policy } });
    expect(tree.outputDigest).toBe(alone.outputDigest);
    expect(tree.acceptance?.alternates?.hits).toBeGreaterThan(0);
    expect(validationMessages()).toEqual([]);
  });

  it('is refused where it would change what is drawn, or has nothing to add', async () => {
    const policy = { candidates: 3, alternates: 2 };
    await expect(run({ policy, sampling: { temperature: 1, rule: 'rejection' } })).rejects.toThrow(
      /^invalid alternates: 2; under the rejection rule .*: expected 0, or the rule coupled$/,
    );
    await expect(run({ strategy: 'ahead', policy })).rejects.toThrow(
      /^invalid alternates: 2; with speculation ahead .*, expected 0, or outcomes 1$/,
    );
  });
});

/** Rounds of one sequence: the draft continues what is known, and of its second choices some are looked at. Mutates `counts`. */
function countRounds(
  draft: ReferenceWeights,
  prompt: readonly number[],
  ids: readonly number[],
  {
    candidates,
    alternates,
    alternateTokens,
  }: Readonly<Record<'candidates' | 'alternates' | 'alternateTokens', number>>,
  counts: {
    proposed: number;
    accepted: number;
    alternates: { proposed: number; hits: number; tokens: number };
  },
): void {
  rememberBeginnings(draft, [...prompt, ...ids], prompt.length);
  for (let written = 1; written < ids.length; ) {
    const wanted = Math.min(candidates, ids.length - written - 1);
    const proposal: number[] = [];
    const candidateLeaders = Array.from({ length: wanted }, () => {
      const known = [...prompt, ...ids.slice(0, written), ...proposal];
      const logits = logitsBehind(draft, known);
      const leaders = leadersOf(logits, 2, undefined, 0);
      proposal.push(leaders.ids[0]);
      return leaders;
    });
    const picked = pickAlternates({ candidates: proposal, candidateLeaders }, alternates);
    let accepted = 0;
    while (accepted < wanted && proposal[accepted] === ids[written + accepted]) accepted += 1;
    const branches = picked.map(({ place, ids: [id] }) => {
      const wantedBehind = Math.min(alternateTokens - 1, ids.length - written - place - 2);
      const known = [...prompt, ...ids.slice(0, written), ...proposal.slice(0, place), id];
      const behind = continuation(draft, known, Math.max(0, wantedBehind));
      return { place, tokens: [id, ...behind] };
    });
    const right = branches.find(
      ({ place, tokens }) => place === accepted && tokens[0] === ids[written + place],
    );
    let brought = 0;
    while (
      right &&
      brought < right.tokens.length &&
      right.tokens[brought] === ids[written + accepted + brought]
    )
      brought += 1;
    counts.proposed += wanted;
    counts.accepted += accepted;
    counts.alternates.proposed += branches.reduce((sum, { tokens }) => sum + tokens.length, 0);
    counts.alternates.hits += brought > 0 ? 1 : 0;
    counts.alternates.tokens += brought;
    written += accepted + 1 + brought;
  }
}

describe('which places get an alternate', () => {
  const leaders = (...behind: number[]) => behind.map((lead) => ({ ids: [1, 2], behind: [0, lead] }));
  const placesOf = (candidateLeaders: ReturnType<typeof leaders>, count: number) =>
    pickAlternates({ candidates: candidateLeaders.map(() => 1), candidateLeaders }, count).map(
      ({ place }) => place,
    );

  it('is where the draft is in doubt, and of equals the earlier, which is likelier to be reached', () => {
    expect(placesOf(leaders(3, 0.1, 2, 5), 1)).toEqual([1]);
    expect(placesOf(leaders(3, 0.1, 2, 5), 2)).toEqual([1, 2]);
    expect(placesOf(leaders(1, 1, 1, 1), 2)).toEqual([0, 1]);
    expect(placesOf(leaders(1, 1), 5)).toEqual([0, 1]);
  });

  it('is nowhere where nobody says what else might follow', () => {
    expect(pickAlternates({ candidates: [1, 1], candidateLeaders: null }, 2)).toEqual([]);
    const alone = [{ ids: [1], behind: [0] }];
    expect(pickAlternates({ candidates: [1], candidateLeaders: alone }, 2)).toEqual([]);
  });

  it('stands in for the candidate, be it the draft’s first choice or not', () => {
    const [first] = pickAlternates({ candidates: [2], candidateLeaders: leaders(1) }, 1);
    expect(first).toEqual({ place: 0, ids: [1] });
  });
});

describe('a prediction with alternates', () => {
  const acceptance: AcceptanceRates = { kind: 'rates', name: 'given', byPosition: [0.7], secondChoice: 0.6 };
  const predict = (policy: PolicyInput) =>
    simulateRun({
      ...{
        target: mixtral(8),
        draft: mistral(2),
        strategy: 'serial',
        maxNewTokens: 256,
        machine: workstation,
        seed: 1,
      },
      ...{ acceptance, draws: 'common', promptLengths: new Array(32).fill(64) },
      policy: { candidates: 6, pinnedLayers: 0, ...policy },
    });

  it.each([
    [1, 1],
    [3, 1],
    [6, 1],
    [2, 4],
    [6, 6],
  ])('brings what is expected of %i of %i tokens', async (alternates, alternateTokens) => {
    const { acceptance: report } = await predict({ alternates, alternateTokens });
    const expected = expectedTokens(acceptance, 6, alternates, alternateTokens);
    expect(report!.tokensPerRound / expected).toBeGreaterThan(0.97);
    expect(report!.tokensPerRound / expected).toBeLessThan(1.03);
    expect(report!.alternates!.proposed).toBeGreaterThan(
      0.85 * report!.proposed * (alternates / 6) * alternateTokens,
    );
  });

  it.each<[PolicyInput, SamplingInput?]>([
    [{ candidates: 4, alternates: 4 }],
    [{ candidates: 5, alternates: 5, alternateTokens: 3 }],
    [
      { candidates: 3, alternates: 3, alternateTokens: 2 },
      { temperature: 1, seed: 9 },
    ],
  ])('comes to what a run comes to, by what was recorded of its texts: %o %o', async (policy, sampling) => {
    const { weights: _, stopAtEos: __, ...job } = base;
    const measured = await run({ policy, sampling });
    const trace = await recordAcceptance({
      ...{ ...job, sampling, name: 'own', candidates: 5, newTokens: maxNewTokens, secondChoices: true },
      texts: measured.sequences.map(({ ids }, index) => ({ prompt: base.prompts[index], newIds: ids })),
    });
    const predicted = await simulateRun({
      ...{ ...job, strategy: 'serial', acceptance: parseAcceptance(trace, 'trace'), machine: workstation },
      ...{ policy, promptLengths: base.prompts.map(({ length }) => length) },
    });
    expect(predicted.acceptance).toEqual(measured.acceptance);
    expect(predicted.passes).toBe(measured.passes);
  });

  it.each([
    [0, 1],
    [4, 1],
    [2, 4],
  ])(
    'takes about as long as is estimated without simulating: %i of %i tokens',
    async (alternates, alternateTokens) => {
      const job = {
        ...{ target: mixtral(8), draft: mistral(2), maxNewTokens: 64, machine: workstation, acceptance },
        promptLengths: new Array(32).fill(64),
      };
      const policy = { candidates: 6, pinnedLayers: 0, alternates, alternateTokens };
      const prepared = placeContender(job, { strategy: 'serial', policy });
      const { seconds } = await simulateRun({ ...job, strategy: 'serial', policy, seed: 1, draws: 'common' });
      const ratio = closedForm({ ...job, prepared }).seconds / seconds;
      expect(ratio).toBeGreaterThan(0.85);
      expect(ratio).toBeLessThan(1.15);
    },
  );

  it('is the same as ever without', async () => {
    const [without, none] = [await predict({}), await predict({ alternates: 0 })];
    expect(none.seconds).toBe(without.seconds);
    expect(none.acceptance).toEqual(without.acceptance);
    expect((await predict({ alternates: 6 })).passes).toBeLessThan(without.passes);
  });
});
