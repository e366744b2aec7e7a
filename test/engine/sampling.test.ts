/** Drawn tokens: their definition, their distribution, and that every strategy draws the same. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  loadReferenceWeights,
  openCheckpoint,
  type PolicyInput,
  parseSampling,
  type ReferenceWeights,
  type RunRequest,
  readPublishedSampling,
  recordAcceptance,
  referenceLogits,
  runEngine,
  type Sampling,
  type SamplingInput,
  type StrategyName,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { f32Arithmetic } from '../../engine/dist/machine/arithmetic.js';
import { drawToken, warpedShares } from '../../engine/dist/speculate/draw-token.js';
import { noiseKey, threefry, tokenBits, uniformOf } from '../../engine/dist/speculate/noise.js';
import { drawRows } from '../../engine/dist/speculate/row-draws.js';
import { drawPlaces, drawPolicy, integer } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory, maxDifference, readGolden } from './model/golden.js';
import { chiSquared, chooseToken, drawSampling, softmax, warp } from './sampling.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const complete = (input: SamplingInput) => parseSampling(input, 'test') as Sampling;

describe('the noise', () => {
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as const)("has Random123's known answer for key %o and counter %o", (key, counter, answer) => {
    expect(threefry(key, counter)).toEqual(answer);
  });

  it('is uniform in every place, and no place knows of another', () => {
    const numBuckets = 16;
    const draws = 40_000;
    const along: Record<string, (index: number) => number> = {
      tokens: (i) => bitsAt(3, 0, 100, i),
      positions: (i) => bitsAt(3, 0, i, 17),
      sequences: (i) => bitsAt(3, i, 100, 17),
      seeds: (i) => bitsAt(i, 0, 100, 17),
    };
    for (const [name, bits] of Object.entries(along)) {
      const pairs = new Array<number>(numBuckets ** 2).fill(0);
      for (let i = 0; i < draws; i += 1) {
        const [first, second] = [bits(i), bits(i + 1)].map((word) =>
          Math.floor(uniformOf(word) * numBuckets),
        );
        pairs[first! * numBuckets + second!]! += 1;
      }
      const flat = pairs.map(() => 1 / pairs.length);
      expect(chiSquared(pairs, flat), `along ${name}`).toMatchObject({ isLikely: true });
    }
  });
});

function bitsAt(seed: number, sequence: number, position: number, token: number): number {
  return tokenBits(...noiseKey(seed, sequence, position), token);
}

describe('a drawn token', () => {
  const random = createRandom(1, 'rows');

  it('is the largest logit with noise of those that masks keep, whatever the settings', () => {
    for (let round = 0; round < 600; round += 1) {
      const vocabSize = integer(random, 2, 120);
      const logits = Float32Array.from({ length: vocabSize }, () => 4 * random.normal());
      if (round % 3 === 0) logits[1] = logits[0]!; // equal ones
      const text = Array.from({ length: integer(random, 1, 30) }, () => integer(random, 0, vocabSize - 1));
      const input = drawSampling(random, vocabSize);
      const sampling = parseSampling(input);
      if (!sampling) continue;
      const numRows = Math.min(text.length, 3);
      const draws = drawRows(sampling, [{ noise: 5, numTokens: text.length, numRows, tokens: () => text }]);
      for (let row = 0; row < numRows; row += 1) {
        const before = text.slice(0, text.length - numRows + 1 + row);
        const { id, lead } = chooseToken(logits, before, 5, sampling);
        const drawn = drawToken(logits, draws, row);
        if (lead > 1e-9) expect(drawn.id, JSON.stringify(input)).toBe(id);
        expect(drawn.margin, JSON.stringify(input)).toBeLessThanOrEqual(lead + 1e-6);
        const shares = warpedShares(logits, before, input);
        if (sampling.temperature > 0)
          expect(maxDifference(shares, softmax(warp(logits, before, sampling)))).toBeLessThan(1e-9);
        else expect(shares[drawn.id]).toBe(1);
      }
    }
  });

  it('stays when logits move by less than half its margin', () => {
    let close = 0;
    for (let round = 0; round < 600; round += 1) {
      const logits = Float32Array.from({ length: 60 }, () => 2 * random.normal());
      const sampling = complete({ ...drawSampling(random, 60), temperature: 1 });
      const draws = drawRows(complete({ ...sampling, repetitionPenalty: 1 }), [
        { noise: 0, numTokens: round, numRows: 1, tokens: () => [] },
      ]);
      const { id, margin } = drawToken(logits, draws, 0);
      if (margin < 0.05) close += 1;
      for (let trial = 0; trial < 4; trial += 1) {
        const moved = logits.map((logit) => logit + 0.49 * Math.min(margin, 1) * (2 * random.uniform() - 1));
        expect(drawToken(moved, draws, 0).id, JSON.stringify({ sampling, margin })).toBe(id);
      }
    }
    expect(close).toBeGreaterThan(20);
  });

  it('has a margin that is no number where a logit is none', () => {
    const draws = drawRows(complete({}), [{ noise: 0, numTokens: 1, numRows: 1, tokens: () => [0] }]);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(drawToken(Float32Array.of(1, bad, 2), draws, 0).margin).toBeNaN();
  });

  it.each<SamplingInput>([
    { temperature: 1 },
    { temperature: 0.6, topK: 9 },
    { temperature: 1.5, topP: 0.8 },
    { minP: 0.2, repetitionPenalty: 1.3 },
  ])('is distributed as the softmax of what %o leaves', (input) => {
    const sampling = complete({ ...input, seed: 11 });
    const logits = Float32Array.from({ length: 24 }, () => 1.5 * random.normal());
    const text = [1, 2, 3, 3];
    const counts = new Array<number>(logits.length).fill(0);
    for (let sequence = 0; sequence < 10_000; sequence += 1) {
      const draws = drawRows(sampling, [{ noise: sequence, numTokens: 4, numRows: 1, tokens: () => text }]);
      counts[drawToken(logits, draws, 0).id]! += 1;
    }
    expect(chiSquared(counts, softmax(warp(logits, text, sampling)))).toMatchObject({ isLikely: true });
  });
});

describe('a run that draws', () => {
  const golden = readGolden('mixtral').prompts;
  const prompts = golden.map(({ ids }) => ids);
  const maxNewTokens = 8;
  let target: Checkpoint;
  let dense: Checkpoint;
  let weights: ReferenceWeights;

  beforeAll(async () => {
    target = await openCheckpoint(goldenDirectory('mixtral'));
    dense = await openCheckpoint(goldenDirectory('mistral-full'));
    weights = await loadReferenceWeights(target);
  });

  function run(changes: Partial<RunRequest>) {
    return runEngine({
      ...{ target, draft: null, prompts, strategy: 'none', maxNewTokens },
      ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
      ...changes,
    });
  }

  /** Tokens by the definition, on the plain reference's logits, up to the first that rounding may decide. */
  function expectedOf(sampling: Sampling, sequence: number) {
    const ids: number[] = [];
    while (ids.length < maxNewTokens && !weights.spec.eosTokenIds.includes(ids.at(-1) ?? -1)) {
      const text = [...prompts[sequence]!, ...ids];
      const [logits] = referenceLogits(weights, text, { positions: 'last' });
      const { id, lead } = chooseToken(logits!, text, sequence, sampling);
      if (lead < f32Arithmetic.tieMargin) break;
      ids.push(id);
    }
    return ids;
  }

  const streamed: PolicyInput = { pinnedLayers: 0, keptLayers: 0 };
  const random = createRandom(2, 'runs');
  const settings = Array.from({ length: 4 }, (_, index) => ({
    ...drawSampling(random, 64),
    ...(index % 3 === 0 ? { temperature: 1 } : {}),
  }));

  it.each(settings)('writes by the definition under every strategy, with %o', async (input) => {
    const sampling = parseSampling(input);
    if (!sampling) return;
    const expected = prompts.map((_, sequence) => expectedOf(sampling, sequence));
    const runs: [StrategyName, Checkpoint | null, PolicyInput, string][] = [
      ['none', null, streamed, 'cpu'],
      ['serial', dense, { ...drawPolicy(random, 'serial', prompts.length), candidates: 3 }, 'cpu'],
      ['serial', target, { ...streamed, speculation: 'ahead', candidates: 3 }, 'cpu'],
      ['specoffload', target, { ...streamed, candidates: 4 }, 'isolated'],
      ['specoffload', dense, { ...streamed, candidates: 2, draftCache: 'recompute', draftBatch: 2 }, 'cpu'],
      ['flexgen', dense, { ...drawPlaces(random, prompts.length), speculation: 'serial' }, 'cpu'],
      ['fiddler', null, { ...streamed, hostExpertRows: 2, prefillBatch: 1 }, 'isolated'],
    ];
    for (const [strategy, draft, policy, kind] of runs) {
      const { sequences, nearTies } = await run({ strategy, draft, policy, sampling, device: { kind } });
      const title = `${strategy} ${JSON.stringify(policy)}`;
      for (const [index, ids] of expected.entries())
        expect(sequences[index]!.ids.slice(0, ids.length), title).toEqual(ids);
      expect(nearTies, title).toBeLessThan(3);
    }
  });

  it.skipIf(whyNoVulkan !== null).each<SamplingInput>([
    { temperature: 0.9, seed: 7 },
    { temperature: 1.2, topP: 0.8, topK: 30, repetitionPenalty: 1.2, seed: 7 },
  ])('is the same on a GPU, which finds the few tokens that matter: %o', async (input) => {
    const policy: PolicyInput = { ...streamed, candidates: 3, attention: 'device' };
    const device = watchedVulkan;
    const { sequences } = await run({ strategy: 'serial', draft: dense, policy, sampling: input, device });
    let numCompared = 0;
    for (const [index, { ids }] of sequences.entries()) {
      const expected = expectedOf(parseSampling(input)!, index);
      numCompared += expected.length;
      expect(ids.slice(0, expected.length)).toEqual(expected);
    }
    expect(numCompared).toBeGreaterThan(12);
    expect(validationMessages()).toEqual([]);
  });

  it('accepts all that a draft proposes that is the target itself, since both see the same noise', async () => {
    const policy = { ...streamed, candidates: 3 };
    const { acceptance } = await run({
      strategy: 'serial',
      draft: target,
      policy,
      sampling: { temperature: 1.3 },
    });
    expect(acceptance?.rate).toBe(1);
  });

  it('is accepted as often as an acceptance that was recorded on its texts says', async () => {
    const sampling = { temperature: 0.9, seed: 4 };
    const policy = { ...streamed, candidates: 3 };
    const ends = { stopAtEos: false, maxNewTokens: 12 };
    const { sequences, acceptance } = await run({
      strategy: 'serial',
      draft: dense,
      policy,
      sampling,
      ...ends,
    });
    const trace = await recordAcceptance({
      ...{ name: 'drawn', draft: dense, candidates: 3, newTokens: 12, sampling },
      machine: { deviceBytes: 16e6, hostBytes: 16e6 },
      texts: sequences.map(({ ids }, index) => ({ prompt: prompts[index]!, newIds: ids })),
    });
    let expected = 0;
    for (const runs of trace.sequences)
      for (let have = 1; have < runs.length; ) {
        const accepted = Math.min(runs[have]!, runs.length - have - 1, 3);
        expected += accepted;
        have += accepted + 1;
      }
    expect(acceptance?.accepted).toBe(expected);
    expect(expected).toBeGreaterThan(0);
  });

  it('at temperature 0 writes what it writes without sampling, and other seeds write other texts', async () => {
    const plain = await run({});
    expect((await run({ sampling: { temperature: 0, topK: 3, seed: 5 } })).outputDigest).toBe(
      plain.outputDigest,
    );
    const [one, other] = [await run({ sampling: { seed: 1 } }), await run({ sampling: { seed: 2 } })];
    expect(one.outputDigest).not.toBe(other.outputDigest);
  });

  it.each([
    ['coupled', 'serial', { candidates: 1 }],
    ['rejection', 'serial', { candidates: 1 }],
    ['rejection', 'serial', { candidates: 2, speculation: 'ahead' }],
  ] as const)(
    '%s has the distribution of the target, token by token, under %s with %o',
    async (rule, strategy, policy) => {
      const numSequences = 384;
      const prompt = prompts[0]!.slice(0, 3);
      const sampling = complete({ temperature: 0.8, topK: 12, rule });
      const { sequences, acceptance } = await run({
        ...{ strategy, draft: dense, sampling, maxNewTokens: 3, stopAtEos: false, policy },
        prompts: Array.from({ length: numSequences }, () => prompt),
      });
      expect(acceptance?.rate).toBeLessThan(1);
      const behind = (text: readonly number[]) =>
        softmax(warp(referenceLogits(weights, text, { positions: 'last' })[0]!, text, sampling));
      const first = behind(prompt);
      const second = new Float64Array(first.length);
      for (const [id, share] of first.entries())
        if (share > 0)
          for (const [next, part] of behind([...prompt, id]).entries()) second[next]! += share * part;
      for (const [place, probabilities] of [first, second].entries()) {
        const counts = new Array<number>(first.length).fill(0);
        for (const { ids } of sequences) counts[ids[place]!]! += 1;
        expect(chiSquared(counts, probabilities), `new token ${place}`).toMatchObject({ isLikely: true });
      }
      // Token by token given the text before it: shares of what was drawn, uniform if they are drawn rightly.
      const uniform = new Array<number>(8).fill(0);
      const known = new Map<string, Float64Array>();
      const random = createRandom(5, 'places');
      for (const { ids } of sequences) {
        const text = [...prompt, ...ids.slice(0, 2)];
        const shares = known.get(`${text}`) ?? behind(text);
        known.set(`${text}`, shares);
        const below = shares.slice(0, ids[2]).reduce((sum, share) => sum + share, 0);
        uniform[Math.min(7, Math.floor(8 * (below + shares[ids[2]!]! * random.uniform())))]! += 1;
      }
      expect(
        chiSquared(
          uniform,
          uniform.map(() => 1 / 8),
        ),
        'third new token',
      ).toMatchObject({ isLikely: true });
    },
  );

  it('accepts more under the rejection rule, and all where the draft is the target', async () => {
    const policy = { ...streamed, candidates: 2 };
    const many = Array.from({ length: 40 }, (_, index) => prompts[index % prompts.length]!);
    const rateOf = async (rule: 'coupled' | 'rejection', draft: Checkpoint) => {
      const sampling = { temperature: 1.2, rule };
      const { acceptance } = await run({ strategy: 'specoffload', draft, policy, sampling, prompts: many });
      return acceptance!.rate;
    };
    expect(await rateOf('rejection', dense)).toBeGreaterThan(await rateOf('coupled', dense));
    expect(await rateOf('rejection', target)).toBeGreaterThan(0.999);
  });
});

it.each([
  [{ temperature: -1 }, 'invalid temperature: -1; expected a number from 0 to 100'],
  [{ topK: 1.5 }, 'invalid topK: 1.5; expected a whole number from 0 to 16777216'],
  [{ topP: Number.NaN }, 'invalid topP: NaN; expected a number from 0 to 1'],
  [{ heat: 1 }, 'unknown field: heat; expected temperature, topK'],
  [{ rule: 'luck' }, 'invalid rule: "luck"; expected coupled or rejection'],
])('%o is refused', (input, message) => {
  expect(() => parseSampling(input)).toThrow(message);
});

describe('what was published with a model', () => {
  const directory = createTemporaryDirectory();
  const read = (json: object) => {
    writeFileSync(join(directory, 'generation_config.json'), JSON.stringify(json));
    return readPublishedSampling(directory);
  };

  it.each([
    [
      { do_sample: true, temperature: 0.6, top_k: 20, top_p: null, eos_token_id: 2 },
      { temperature: 0.6, topK: 20 },
    ],
    [{ do_sample: true }, {}],
    [{ temperature: 0.6 }, undefined],
    [{ do_sample: true, temperature: 0 }, undefined],
  ])('of %o takes %o', async (json, sampling) => {
    expect((await read(json))?.sampling).toEqual(sampling);
  });

  it('is refused where it is no number, or out of range', async () => {
    await expect(read({ do_sample: true, top_k: 'all' })).rejects.toThrow(
      'invalid top_k: "all"; expected a number',
    );
    await expect(read({ do_sample: true, top_p: 7 })).rejects.toThrow(
      'invalid topP: 7; expected a number from 0 to 1',
    );
  });
});
