import { type Checkpoint, openCheckpoint, type RunRequest, runEngine, runLogits } from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory, maxDifference, readGolden } from './model/golden.js';

/** The machine without a compiler: the TypeScript twin in place of the native core, on every lane. */
const twin = { deviceBytes: 16e6, hostBytes: 16e6, native: 'twin' } as const;
const native = { ...twin, native: 'native' } as const;
const golden = readGolden('mixtral');
const prompts = golden.prompts.map(({ ids }) => ids);
const greedyIds = golden.prompts.map(({ greedy_ids }) => greedy_ids);

describe('on the twin', () => {
  let target: Checkpoint;
  let draft: Checkpoint;
  beforeAll(async () => {
    target = await openCheckpoint(goldenDirectory('mixtral'));
    draft = await openCheckpoint(goldenDirectory('mistral-full'));
  });

  it.each<Pick<RunRequest, 'strategy' | 'policy'>>([
    { strategy: 'none', policy: { pinnedLayers: 0, keptLayers: 1 } },
    { strategy: 'serial', policy: { candidates: 3, pinnedLayers: 0, keptLayers: 0 } },
    {
      strategy: 'specoffload',
      policy: { candidates: 3, pinnedLayers: 1, keptLayers: 0, draftCache: 'recompute' },
    },
  ])('the whole pipeline writes the same tokens, $strategy', async ({ strategy, policy }) => {
    // With itself as the draft half of the time, so that candidates are accepted as well as rejected.
    for (const usedDraft of strategy === 'none' ? [null] : [draft, target]) {
      const request = { target, draft: usedDraft, prompts, strategy, policy, maxNewTokens: 24 };
      const onTwin = await runEngine({ ...request, machine: twin });
      expect(onTwin.native).toBe('twin');
      expect(onTwin.directReads, 'the twin reads through the page cache').toBe(false);
      expect(onTwin.sequences.map(({ ids }) => ids)).toEqual(greedyIds);
      const onNative = await runEngine({ ...request, machine: native });
      expect(onNative.native).toBe('native');
      expect(onTwin.outputDigest).toBe(onNative.outputDigest);
      expect(onTwin.acceptance).toEqual(onNative.acceptance);
      expect(onTwin.passes).toBe(onNative.passes);
      for (const [index, { margins }] of onTwin.sequences.entries())
        expect(maxDifference(margins, onNative.sequences[index].margins)).toBeLessThan(2e-4);
    }
  });

  it.each(['mistral-window', 'llama-llama3'])('%s has the logits of transformers', async (name) => {
    const expected = readGolden(name).prompts;
    const logits = await runLogits({
      target: await openCheckpoint(goldenDirectory(name)),
      prompts: expected.map(({ ids }) => ids),
      machine: twin,
      policy: { pinnedLayers: 0, keptLayers: 0 },
    });
    for (const [index, { last_logits }] of expected.entries())
      expect(maxDifference(logits[index], last_logits)).toBeLessThan(1e-4);
  });
});
