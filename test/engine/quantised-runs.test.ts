/** Quantised checkpoints run as what their numbers mean: logits, and the same tokens under every strategy. */

import {
  loadReferenceWeights,
  openCheckpoint,
  type PolicyInput,
  referenceGreedy,
  referenceLogits,
  runEngine,
  runLogits,
  type StrategyName,
} from '@specoffload/engine';
import { afterAll, expect, it } from 'vitest';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory, maxDifference, readGolden } from './model/golden.js';
import { quantisedKinds, writePair } from './model/quantised.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const root = createTemporaryDirectory();

const prompts = readGolden('qwen3').prompts.map(({ ids }) => ids.slice(0, 6));
const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const policy = { pinnedLayers: 0, keptLayers: 0 } as const;
const maxNewTokens = 6;

/** The checkpoint, and what the plain reference makes of the values that it means. */
async function openKind(name: string) {
  const { quantisation, quantise } = quantisedKinds[name]!;
  const { directories } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
  const target = await openCheckpoint(directories[0]!);
  return { target, weights: await loadReferenceWeights(await openCheckpoint(directories[1]!)) };
}

const devices = { cpu: { kind: 'cpu' }, ...(whyNoVulkan ? {} : { vulkan: watchedVulkan }) };

afterAll(() => expect(validationMessages()).toEqual([]));

it.each(Object.keys(quantisedKinds))(`%s: logits of its values on ${Object.keys(devices)}`, async (name) => {
  const { target, weights } = await openKind(name);
  for (const [kind, device] of Object.entries(devices)) {
    const logits = await runLogits({ target, prompts, machine, device, policy });
    for (const [index, ids] of prompts.entries()) {
      const [expected] = referenceLogits(weights, ids, { positions: 'last' });
      expect(maxDifference(logits[index]!, expected!), `${kind}, prompt ${index}`).toBeLessThan(1e-4);
    }
  }
});

/** Each with the drafts of another model, which are often wrong. */
const runs: readonly (readonly [StrategyName, PolicyInput])[] = [
  ['none', {}],
  ['serial', {}],
  ['serial', { speculation: 'ahead' }],
  ['specoffload', {}],
  ['accelerate', {}],
  ['deepspeed', {}],
  ['flexgen', { microBatch: 1 }],
  ['fiddler', {}],
];

it.each(['eight bits packed', 'GPTQ in the order of activations', 'AWQ'])(
  '%s: the same tokens under every strategy',
  async (name) => {
    const { target, weights } = await openKind(name);
    const draft = await openCheckpoint(goldenDirectory('qwen3'));
    const expected = prompts.map((ids) => referenceGreedy(weights, ids, maxNewTokens).ids);
    for (const [strategy, own] of runs) {
      const { sequences, nearTies } = await runEngine({
        ...{ target, draft, prompts, strategy, maxNewTokens, machine, policy: { ...policy, ...own } },
      });
      expect(
        sequences.map(({ ids }) => ids),
        strategy,
      ).toEqual(expected);
      expect(nearTies).toBe(0);
    }
  },
);
