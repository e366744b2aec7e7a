/** Every family on a GPU: transformers' logits, and its continuations with attention and draft on the device. */

import { type DeviceChoice, openCheckpoint, runEngine, runLogits } from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { goldenDirectory, goldenNames, maxDifference, readGolden } from './model/golden.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const policy = { pinnedLayers: 0, keptLayers: 0 } as const;
const numTokens = 12;

describe.skipIf(whyNoVulkan !== null)(`on Vulkan${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`, () => {
  afterAll(() => expect(validationMessages()).toEqual([]));

  it.each(goldenNames)('%s is as transformers has it', async (name) => {
    const target = await openCheckpoint(goldenDirectory(name));
    const golden = readGolden(name).prompts;
    const job = { target, prompts: golden.map(({ ids }) => ids), machine, device: watchedVulkan };
    const logits = await runLogits({ ...job, policy });
    for (const [index, { last_logits }] of golden.entries())
      expect(maxDifference(logits[index]!, last_logits), `prompt ${index}`).toBeLessThan(1e-4);

    const { sequences, nearTies, memory } = await runEngine({
      ...{ ...job, draft: target, strategy: 'serial', maxNewTokens: numTokens },
      policy: { ...policy, candidates: 5, attention: 'device', prefillAttention: 'device' },
    });
    expect(sequences.map(({ ids }) => ids)).toEqual(
      golden.map(({ greedy_ids }) => greedy_ids.slice(0, numTokens)),
    );
    expect(nearTies).toBe(0);
    expect(memory.device.peakBytes).toBeLessThanOrEqual(machine.deviceBytes);
  });

  it('reads a long context in parts, and writes what the processor does', async () => {
    const target = await openCheckpoint(goldenDirectory('qwen2'));
    const prompts = [Array.from({ length: 600 }, (_, i) => (7 * i) % 64), [1, 2, 3]];
    const run = (device: DeviceChoice) =>
      runEngine({
        ...{ target, draft: null, strategy: 'none', prompts, maxNewTokens: 6, stopAtEos: false, device },
        ...{ machine, policy: { ...policy, attention: 'device', cache: 'device' } },
      });
    const [found, expected] = [await run(watchedVulkan), await run({ kind: 'cpu' })];
    expect(found.sequences.map(({ ids }) => ids)).toEqual(expected.sequences.map(({ ids }) => ids));
    for (const [i, { margins }] of found.sequences.entries())
      expect(maxDifference(Float32Array.from(margins), expected.sequences[i]!.margins)).toBeLessThan(1e-4);
  });

  it.each(['cpu', 'vulkan'])('holds weights as stored, on %s', async (kind) => {
    const target = await openCheckpoint(goldenDirectory('mixtral'));
    const result = await runEngine({
      ...{ target, draft: null, prompts: [[1, 2, 3]], strategy: 'none', maxNewTokens: 1, machine },
      ...{ device: { kind }, policy: { pinnedLayers: 2 } },
    });
    // Nearly all of the model is pinned, beside slots and activations; in fp32 it would be twice its bytes alone.
    expect(result.memoryBytes?.device ?? result.memory.device.peakBytes).toBeLessThan(1.5 * target.bytes);
  });
});
