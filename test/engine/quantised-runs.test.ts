/** Quantised checkpoints run as what their numbers mean: logits, and the same tokens under every strategy. */

import {
  type DeviceChoice,
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

const prompts = readGolden('qwen3')
  .prompts.slice(0, 3)
  .map(({ ids }) => ids.slice(0, 6));
const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
const policy = { pinnedLayers: 0, keptLayers: 0 } as const;
const maxNewTokens = 5;

/** The checkpoint, and what the plain reference makes of the values that it means. */
async function openKind(name: string) {
  const { quantisation, quantise } = quantisedKinds[name]!;
  const { directories } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
  const target = await openCheckpoint(directories[0]!);
  return { target, weights: await loadReferenceWeights(await openCheckpoint(directories[1]!)) };
}

afterAll(() => expect(validationMessages()).toEqual([]));

/** What the device keeps as stored, `scales-apart.test.ts` runs on it. */
const onVulkan = ['GPTQ in the order of activations', 'AWQ'];

it.each(Object.keys(quantisedKinds))('%s: logits of its values', async (name) => {
  const { target, weights } = await openKind(name);
  const devices = [{ kind: 'cpu' }, ...(!whyNoVulkan && onVulkan.includes(name) ? [watchedVulkan] : [])];
  for (const device of devices) {
    const logits = await runLogits({ target, prompts, machine, device, policy });
    for (const [index, ids] of prompts.entries()) {
      const [expected] = referenceLogits(weights, ids, { positions: 'last' });
      expect(maxDifference(logits[index]!, expected!), `${device.kind}, ${index}`).toBeLessThan(1e-4);
    }
  }
});

/** Each with the drafts of another model, which are often wrong. */
const runs: readonly (readonly [StrategyName, PolicyInput, DeviceChoice?])[] = [
  ['none', {}],
  ['serial', {}],
  ['serial', { speculation: 'ahead' }],
  ['specoffload', {}],
  ['accelerate', {}],
  ['deepspeed', {}],
  ['flexgen', { microBatch: 1 }],
  ['fiddler', {}],
  ...(whyNoVulkan ? [] : [['specoffload', { attention: 'device' }, watchedVulkan] as const]),
];

it.each(['four bits with zero points', 'GPTQ in the order of activations'])(
  '%s: the same tokens under every strategy',
  async (name) => {
    const { target, weights } = await openKind(name);
    const draft = await openCheckpoint(goldenDirectory('qwen3'));
    const expected = prompts.map((ids) => referenceGreedy(weights, ids, maxNewTokens).ids);
    for (const [strategy, own, device] of runs) {
      const { sequences, nearTies } = await runEngine({
        ...{ target, draft, prompts, strategy, maxNewTokens, machine, device, policy: { ...policy, ...own } },
      });
      expect(
        sequences.map(({ ids }) => ids),
        strategy,
      ).toEqual(expected);
      expect(nearTies).toBe(0);
    }
  },
);
