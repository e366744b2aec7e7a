/** Weights of kept layers that a GPU's kernels read in host memory, over the link. */

import {
  loadReferenceWeights,
  openCheckpoint,
  type PolicyInput,
  referenceGreedy,
  runEngine,
  type Span,
  type StrategyName,
} from '@specoffload/engine';
import { afterAll, describe, expect, it } from 'vitest';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory, readGolden } from './model/golden.js';
import { quantisedKinds, writePair } from './model/quantised.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const inPlace: PolicyInput = { keptExperts: 'in-place', keptAttention: 'in-place', pinnedLayers: 0 };

/** Biases of their gate and up lie by turns, which no kernel reads. */
const gptOssExperts = 32;

const maxNewTokens = 4;
const root = createTemporaryDirectory();

/** Groups whose weights were copied in a phase. */
function numCopied(spans: readonly Span[], phase: string): number {
  return new Set(spans.flatMap((span) => (span.kind === 'upload' && span.phase === phase ? [span.name] : [])))
    .size;
}

async function jobOf(name: string) {
  const target = await openCheckpoint(goldenDirectory(name));
  const golden = readGolden(name).prompts;
  const prompts = golden.map(({ ids }) => ids);
  const greedy = golden.map(({ greedy_ids }) => greedy_ids.slice(0, maxNewTokens));
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
    expect(numCopied(spans, 'prefill')).toBeGreaterThan(numCopied(spans, 'decode'));
    if (policy.keptLayers === 64)
      expect(numCopied(spans, 'decode')).toBe(name === 'mixtral' ? 0 : gptOssExperts);
  });

  it.each(['AWQ', 'GPTQ in the order of activations', 'four bits in groups of their own'])(
    '%s is read as it lies in its file',
    async (name) => {
      const { quantisation, quantise } = quantisedKinds[name]!;
      const { directories } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
      const [target, plain] = await Promise.all(directories.map((directory) => openCheckpoint(directory)));
      const prompts = [[1, 2, 3, 4, 5], [9]];
      const { sequences, spans } = await runEngine({
        ...{ target: target!, draft: null, prompts, machine, maxNewTokens, strategy: 'none' },
        ...{ device: watchedVulkan, stopAtEos: false },
        policy: { ...inPlace, keptLayers: 64 },
      });
      const weights = await loadReferenceWeights(plain!);
      const expected = prompts.map((ids) => referenceGreedy(weights, ids, maxNewTokens).ids);
      expect(sequences.map(({ ids }) => ids)).toEqual(expected);
      // These files' headers have any length: of some groups bf16 lies at odd bytes, and those are copied.
      expect(numCopied(spans, 'decode')).toBeLessThan(numCopied(spans, 'prefill'));
    },
  );

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
