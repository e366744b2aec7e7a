import {
  type PolicyInput,
  parsePolicy,
  type StrategyName,
  strategies,
  strategyNames,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { measureDraft } from '../../engine/dist/schedule/model-drafter.js';
import type { OpenPolicy } from '../../engine/dist/schedule/policy.js';
import {
  measureDemand,
  planMicroBatches,
  planWaves,
  resolvePolicy,
} from '../../engine/dist/schedule/resolve.js';

describe('parsePolicy', () => {
  it.each<{ input: unknown; message: string }>([
    {
      input: null,
      message: 'invalid policy: null; expected an object',
    },
    { input: [], message: 'invalid policy: []; expected an object' },
    { input: 'fast', message: 'invalid policy: "fast"; expected an object' },
    {
      input: { candidate: 4 },
      message: 'unknown policy field: candidate; expected speculation, batches,',
    },
    { input: { candidates: '4' }, message: 'invalid candidates: "4"; expected a whole number from 1 to 64' },
    { input: { candidates: 0 }, message: 'invalid candidates: 0; expected a whole number from 1 to 64' },
    { input: { candidates: 65 }, message: 'invalid candidates: 65; expected' },
    { input: { candidates: 2.5 }, message: 'invalid candidates: 2.5; expected' },
    { input: { candidates: Number.NaN }, message: 'invalid candidates: NaN; expected' },
    { input: { candidates: Number.POSITIVE_INFINITY }, message: 'invalid candidates: Infinity; expected' },
    { input: { candidates: null }, message: 'invalid candidates: null; expected' },
    { input: { batches: 65 }, message: 'invalid batches: 65; expected a whole number from 1 to 64' },
    { input: { pinnedLayers: -1 }, message: 'invalid pinnedLayers: -1; expected a whole number from 0' },
    {
      input: { prefetchDepth: -1 },
      message: 'invalid prefetchDepth: -1; expected a whole number from 0 to 64',
    },
    { input: { decodeBatch: Number.NaN }, message: 'invalid decodeBatch: NaN; expected' },
    {
      input: { prefillOrder: 'layers' },
      message: 'invalid prefillOrder: "layers"; expected batch-major or layer-major',
    },
    {
      input: { draftCache: true },
      message: 'invalid draftCache: true; expected recompute, resident or window',
    },
    {
      input: { speculation: 1 },
      message: 'invalid speculation: 1; expected none, serial, interleaved or ahead',
    },
    { input: { toString: 1 }, message: 'unknown policy field: toString' },
    { input: { candidates: undefined }, message: 'invalid candidates: missing; expected' },
  ])('refuses $input', ({ input, message }) => {
    expect(() => parsePolicy(input)).toThrow(message);
    expect(() => parsePolicy(input)).toThrow(expect.objectContaining({ name: 'UserError' }));
  });

  it.each<PolicyInput>([
    {},
    { candidates: 1, prefetchDepth: 64, pinnedLayers: 0 },
    { speculation: 'interleaved', draftCache: 'recompute', prefillOrder: 'batch-major' },
  ])('takes %o as it is', (input) => {
    expect(parsePolicy(input)).toEqual(input);
  });
});

describe('resolvePolicy', () => {
  const common = {
    ...{ prefillOrder: 'layer-major', draftCache: 'resident', candidates: 4, prefetchDepth: null },
    ...{ pinnedLayers: null, keptLayers: null },
  };

  it.each<{ strategy: StrategyName; numPrompts: number; input: PolicyInput; expected: object }>([
    {
      ...{ strategy: 'none', numPrompts: 6, input: {} },
      expected: { speculation: 'none', batches: 1, decodeBatch: 6, prefillBatch: 6, draftBatch: 6 },
    },
    {
      ...{ strategy: 'specoffload', numPrompts: 7, input: {} },
      expected: { speculation: 'interleaved', batches: 2, decodeBatch: 4, prefillBatch: 4, draftBatch: 4 },
    },
    {
      ...{ strategy: 'specoffload', numPrompts: 1, input: {} },
      expected: { batches: 1, decodeBatch: 1, prefillBatch: 1, draftBatch: 1 },
    },
    {
      ...{ strategy: 'serial', numPrompts: 9, input: { decodeBatch: 3, prefillBatch: 8, draftBatch: 2 } },
      expected: { speculation: 'serial', batches: 1, decodeBatch: 3, prefillBatch: 3, draftBatch: 2 },
    },
    {
      ...{ strategy: 'none', numPrompts: 5, input: { batches: 2, pinnedLayers: 0, keptLayers: 2 } },
      expected: { batches: 2, decodeBatch: 3, pinnedLayers: 0, keptLayers: 2 },
    },
  ])(
    'fills in $strategy for $numPrompts prompts with $input',
    ({ strategy, numPrompts, input, expected }) => {
      const policy = resolvePolicy(strategies[strategy], input, numPrompts);
      expect(policy).toMatchObject({ ...common, ...expected });
    },
  );

  it.each<{ strategy: StrategyName; input: PolicyInput; message: string }>([
    {
      ...{ strategy: 'none', input: { speculation: 'serial' } },
      message: 'invalid speculation: serial; the strategy none is defined by none, choose another strategy',
    },
    {
      ...{ strategy: 'specoffload', input: { speculation: 'none' } },
      message: 'invalid speculation: none; the strategy specoffload is defined by interleaved',
    },
    {
      ...{ strategy: 'serial', input: { prefetchDepth: Number.NaN } },
      message: 'invalid prefetchDepth: NaN',
    },
    ...strategyNames.map((strategy) => ({
      ...{ strategy, input: { batches: 3 } },
      message: `invalid batches: 3; the strategy ${strategy} has at most 2 in flight`,
    })),
  ])('refuses $input for $strategy', ({ strategy, input, message }) => {
    expect(() => resolvePolicy(strategies[strategy], input, 4)).toThrow(message);
  });

  it('takes the speculation that the strategy has anyway', () => {
    expect(resolvePolicy(strategies.serial, { speculation: 'serial' }, 4).speculation).toBe('serial');
  });
});

describe('waves', () => {
  it.each<{ strategy: StrategyName; numPrompts: number; input: PolicyInput; waves: number[][][] }>([
    { strategy: 'none', numPrompts: 3, input: {}, waves: [[[0, 1, 2]]] },
    {
      ...{ strategy: 'none', numPrompts: 5, input: { decodeBatch: 2 } },
      waves: [[[0, 1]], [[2, 3]], [[4]]],
    },
    {
      strategy: 'specoffload',
      numPrompts: 5,
      input: {},
      waves: [
        [
          [0, 1, 2],
          [3, 4],
        ],
      ],
    },
    {
      ...{ strategy: 'specoffload', numPrompts: 7, input: { decodeBatch: 2 } },
      waves: [
        [
          [0, 1],
          [2, 3],
        ],
        [[4, 5], [6]],
      ],
    },
    {
      ...{ strategy: 'specoffload', numPrompts: 3, input: { decodeBatch: 1 } },
      waves: [[[0], [1]], [[2]]],
    },
  ])('of $numPrompts prompts under $strategy with $input', ({ strategy, numPrompts, input, waves }) => {
    expect(planWaves(resolvePolicy(strategies[strategy], input, numPrompts), numPrompts)).toEqual(waves);
  });

  it('hold every prompt once, in batches that are no larger than asked for', () => {
    for (let numPrompts = 1; numPrompts <= 20; numPrompts += 1)
      for (const batches of [1, 2])
        for (let decodeBatch = 1; decodeBatch <= 8; decodeBatch += 1) {
          const policy = resolvePolicy(strategies.none, { batches, decodeBatch }, numPrompts);
          const waves = planWaves(policy, numPrompts);
          expect(waves.flat(2)).toEqual(Array.from({ length: numPrompts }, (_, i) => i));
          for (const wave of waves) {
            expect(wave.length).toBeLessThanOrEqual(batches);
            for (const members of wave) expect(members.length).toBeLessThanOrEqual(decodeBatch);
          }
        }
  });

  it('are prefilled in micro-batches that do not cross batches', () => {
    const policy = resolvePolicy(strategies.specoffload, { prefillBatch: 2 }, 5);
    expect(
      planMicroBatches(policy, [
        [0, 1, 2],
        [3, 4],
      ]),
    ).toEqual([
      { batch: 0, members: [0, 1] },
      { batch: 0, members: [2] },
      { batch: 1, members: [3, 4] },
    ]);
  });
});

describe('measureDemand', () => {
  const lengths = [10, 3, 7, 1];
  const demandOf = (strategy: StrategyName, input: PolicyInput, maxNewTokens = 8) => {
    const policy: OpenPolicy = resolvePolicy(strategies[strategy], input, lengths.length);
    return measureDemand(policy, planWaves(policy, lengths.length), lengths, maxNewTokens);
  };

  it('rounds caches up to whole cache lines, each sequence its own length', () => {
    // 18, 11, 15 and 9 tokens, rounded to multiples of 4.
    expect(demandOf('none', {}).targetCacheTokens).toBe(20 + 12 + 16 + 12);
    expect(demandOf('none', { decodeBatch: 2 }).targetCacheTokens).toBe(20 + 12);
    expect(demandOf('none', {}).numPositions).toBe(18);
  });

  it('has room for the largest frame of prefill and of verification', () => {
    expect(demandOf('none', {}).targetFrameRows).toEqual([21]);
    expect(demandOf('serial', { candidates: 7 }).targetFrameRows).toEqual([4 * 8]);
    expect(demandOf('serial', { candidates: 64 }).targetFrameRows, 'no more than can be used').toEqual([32]);
    expect(demandOf('none', { prefillBatch: 2 }).targetFrameRows).toEqual([13, 8]);
    expect(demandOf('none', { prefillBatch: 2, prefillOrder: 'batch-major' }).targetFrameRows).toEqual([13]);
  });

  it('keeps every draft cache, or only those of one micro-batch', () => {
    const kept = { draftBatch: 1 };
    const cacheTokens = (input: PolicyInput) =>
      measureDraft(
        resolvePolicy(strategies.serial, input, lengths.length),
        demandOf('serial', input).sequenceTokens,
      ).cacheTokens;
    expect(cacheTokens(kept)).toBe(60);
    expect(cacheTokens({ ...kept, draftCache: 'recompute' })).toBe(20);
  });
});
