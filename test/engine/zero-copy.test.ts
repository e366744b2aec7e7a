/** Weights of kept layers that a GPU's kernels read in host memory, over the link. */

import { openCheckpoint, type PolicyInput, runEngine, type StrategyName } from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const inPlace: PolicyInput = { keptExperts: 'in-place', keptAttention: 'in-place', pinnedLayers: 0 };

/** Biases of their gate and up lie by turns, which no kernel reads. */
const gptOssExperts = 32;

async function jobOf(name: string) {
  const target = await openCheckpoint(goldenDirectory(name));
  const golden = readGolden(name).prompts;
  const prompts = golden.map(({ ids }) => ids);
  const greedy = golden.map(({ greedy_ids }) => greedy_ids);
  const [{ length: maxNewTokens }] = greedy as [number[]];
  return { job: { target, prompts, machine, maxNewTokens }, greedy };
}

describe.skipIf(whyNoVulkan !== null)('on Vulkan', () => {
  afterAll(() => expect(validationMessages()).toEqual([]));

  it.each<[string, string, StrategyName, PolicyInput]>([
    ['every layer', 'mixtral', 'none', { keptLayers: 64, experts: 'routed' }],
    [
      'attention with its cache and sinks',
      'gpt-oss-mxfp4',
      'none',
      { keptLayers: 64, attention: 'device', cache: 'device' },
    ],
    ['one layer of several, with a draft', 'llama-llama3', 'specoffload', { keptLayers: 1, candidates: 3 }],
  ])('%s of %s under %s writes what transformers does', async (_, name, strategy, policy) => {
    const { job, greedy } = await jobOf(name);
    const { sequences, nearTies, spans } = await runEngine({
      ...{ ...job, strategy, draft: strategy === 'none' ? null : job.target, device: watchedVulkan },
      policy: { ...inPlace, ...policy },
    });
    expect(sequences.map(({ ids }) => ids)).toEqual(greedy);
    expect(nearTies).toBe(0);
    const crossed = (phase: string) =>
      new Set(spans.filter((span) => span.kind === 'upload' && span.phase === phase).map((span) => span.name))
        .size;
    expect(crossed('prefill')).toBeGreaterThan(crossed('decode'));
    if (policy.keptLayers === 64) expect(crossed('decode')).toBe(name === 'mixtral' ? 0 : gptOssExperts);
  });

  it('is refused where host memory is not imported, and where the link is paced', async () => {
    const { job } = await jobOf('mixtral');
    const run = { ...job, draft: null, strategy: 'none', policy: inPlace } as const;
    const device = { ...watchedVulkan, trials: { ...watchedVulkan.trials, refusesImport: true } };
    await expect(runEngine({ ...run, device })).rejects.toThrow('does not read host memory where it lies');
    const paced = { ...machine, caps: { linkBytesPerSecond: 1e9 } };
    await expect(runEngine({ ...run, machine: paced, device: watchedVulkan })).rejects.toThrow('by its cap');
  });
});

it('is refused by the processor', async () => {
  const { job } = await jobOf('mixtral');
  await expect(runEngine({ ...job, draft: null, strategy: 'none', policy: inPlace })).rejects.toThrow(
    /^invalid keptExperts: in-place; .* does not read host memory where it lies, expected copied/,
  );
});
