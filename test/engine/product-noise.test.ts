/** Noise of analogue products on real lanes: how large, whose, drawn by which seed, and where it is refused. */

import { type Checkpoint, openCheckpoint, type RunRequest, runEngine } from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { NoiseSource } from '../../engine/dist/machine/product-noise.js';
import { noiseEffectOf } from '../../experiments/src/job/noise-effect.js';
import { goldenDirectory, readGolden } from './model/golden.js';

const golden = readGolden('mixtral').prompts.slice(0, 2);
const maxNewTokens = 6;
let target: Checkpoint;

beforeAll(async () => {
  target = await openCheckpoint(goldenDirectory('mixtral'));
});

const run = (besides: Partial<RunRequest>) =>
  runEngine({
    ...{ target, draft: null, strategy: 'none', maxNewTokens, prompts: golden.map(({ ids }) => ids) },
    ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, ...besides },
  });
const marginsOf = ({ sequences }: Awaited<ReturnType<typeof run>>) => sequences.map(({ margins }) => margins);

describe('a run with noise', () => {
  it('of no size writes what it does without, and of equal seeds the same', async () => {
    const noise = { size: 0.3, groups: 'layers', seed: 5 } as const;
    const [quiet, none, first, again, other] = [
      await run({}),
      await run({ productNoise: { ...noise, size: 0 } }),
      await run({ productNoise: noise }),
      await run({ productNoise: noise }),
      await run({ productNoise: { ...noise, seed: 6 } }),
    ];
    expect(none.sequences).toEqual(quiet.sequences);
    expect(again.sequences).toEqual(first.sequences);
    expect(marginsOf(first)).not.toEqual(marginsOf(quiet));
    expect(marginsOf(other)).not.toEqual(marginsOf(first));
  });

  it.each(['attention', 'experts', 'head'] as const)(
    'disturbs %s, whose weights are fp32',
    async (groups) => {
      const disturbed = await run({ productNoise: { size: 0.1, groups }, maxNewTokens: 1 });
      expect(marginsOf(disturbed)).not.toEqual(marginsOf(await run({ maxNewTokens: 1 })));
    },
  );

  it.each([
    [{ policy: { projections: 'host' } }, 'invalid productNoise: 0.1 of layers; the host projects'],
    [{ policy: { hostShare: 0.5 } }, 'the host computes some FFNs'],
    [{ device: { kind: 'isolated' } }, "only the processor's products are disturbed"],
  ] as const)('is refused with %j', async (besides, message) => {
    await expect(run({ ...besides, productNoise: { size: 0.1, groups: 'layers' } })).rejects.toThrow(message);
  });
});

describe('noise', () => {
  const command = { kind: 'feed-forward', model: 'target', layer: 3 } as Parameters<NoiseSource['of']>[0];

  it('has its size in the size of what each row adds', () => {
    const [rows, width, size] = [2, 20_000, 0.05];
    const products = Float32Array.from({ length: rows * width }, (_, i) => (i < width ? 1 : -100));
    const addend = new Float32Array(rows * width).fill(7);
    const outputs = products.map((value, i) => value + addend[i]);
    new NoiseSource({ size, groups: 'experts', seed: 1 }).of(command)(outputs, rows, addend);
    for (const [row, scale] of [1, 100].entries()) {
      let squares = 0;
      for (let i = row * width; i < (row + 1) * width; i += 1)
        squares += (outputs[i] - addend[i] - products[i]) ** 2;
      expect(Math.sqrt(squares / width) / scale).toBeCloseTo(size, 2);
    }
  });

  it('is of the named model and its groups alone', () => {
    const concerns = (groups: 'experts' | 'draft' | 'head') =>
      (['target', 'draft'] as const).flatMap((model) =>
        (['project', 'mix', 'feed-forward', 'logits'] as const).filter((kind) =>
          new NoiseSource({ size: 0.1, groups }).concerns({ model, kind }),
        ),
      );
    expect(concerns('experts')).toEqual(['feed-forward']);
    expect(concerns('head')).toEqual(['logits']);
    expect(concerns('draft')).toEqual(['project', 'mix', 'feed-forward', 'logits']);
  });

  it('is told by how many tokens are as without', () => {
    const of = (...ids: number[][]) =>
      ({ sequences: ids.map((each) => ({ ids: each })), acceptance: null }) as unknown as Parameters<
        typeof noiseEffectOf
      >[0];
    expect(noiseEffectOf(of([1, 2, 3, 4], [5, 6, 7, 8]), of([1, 2, 3, 4], [5, 9, 7, 1]))).toEqual({
      ...{ sequences: 2, sameSequences: 1, tokensBefore: 2.5, sameTokens: 0.75, acceptanceRate: null },
    });
  });
});
