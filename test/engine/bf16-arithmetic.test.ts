/** Products of numbers rounded to bf16 on a GPU: how far logits move, and that every order still writes the same. */

import { openCheckpoint, type RunRequest, runEngine, runLogits } from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { bf16Arithmetic } from '../../engine/dist/machine/arithmetic.js';
import { goldenDirectory, maxDifference, readGolden } from './model/golden.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const policy = { pinnedLayers: 0, keptLayers: 0 } as const;
const device = { ...watchedVulkan, arithmetic: 'bf16' } as const;

describe.skipIf(whyNoVulkan !== null)('bf16 on Vulkan', () => {
  afterAll(() => expect(validationMessages()).toEqual([]));

  it('moves logits by at most half of what ties are wide, and every order writes the same', async () => {
    const target = await openCheckpoint(goldenDirectory('qwen2'));
    const golden = readGolden('qwen2').prompts;
    const job = { target, prompts: golden.map(({ ids }) => ids), machine, device };
    const logits = await runLogits({ ...job, policy });
    const moved = golden.map(({ last_logits }, i) => maxDifference(logits[i]!, last_logits));
    for (const distance of moved) {
      expect(distance).toBeGreaterThan(1e-4);
      expect(distance).toBeLessThan(bf16Arithmetic.tieMargin / 2);
    }
    const run = (changes: Partial<RunRequest>) =>
      runEngine({ ...job, draft: null, strategy: 'none', maxNewTokens: 8, policy, ...changes });
    const plain = await run({});
    expect(plain.arithmetic).toEqual(bf16Arithmetic);
    const drafted = await run({ strategy: 'serial', draft: target, policy: { ...policy, candidates: 3 } });
    for (const [i, { ids, margins }] of plain.sequences.entries()) {
      const sure = margins.findIndex((margin) => margin < bf16Arithmetic.tieMargin);
      const end = sure < 0 ? ids.length : sure;
      expect(drafted.sequences[i]!.ids.slice(0, end)).toEqual(ids.slice(0, end));
    }
  });

  it('is refused by the processor', async () => {
    const target = await openCheckpoint(goldenDirectory('qwen2'));
    const run = runLogits({
      target,
      prompts: [[1]],
      machine,
      policy,
      device: { kind: 'cpu', arithmetic: 'bf16' },
    });
    await expect(run).rejects.toThrow(
      'invalid arithmetic: bf16; the cpu device multiplies in fp32, expected f32',
    );
  });
});
