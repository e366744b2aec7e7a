/** Memory filled tensor by tensor in place of layer by layer: the same tokens, fewer bytes, and as many as predicted. */

import {
  localFormats,
  openCheckpoint,
  type PolicyInput,
  placeContender,
  runEngine,
  simulateRun,
  withBudgets,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';
import { mixtral, workstation } from './plan-cases.js';

const target = await openCheckpoint(goldenDirectory('mixtral'));
const prompts = readGolden('mixtral').prompts.map(({ ids }) => ids);
const budgets = { deviceBytes: 700_000, hostBytes: 700_000 };
const job = { ...{ target, draft: null, maxNewTokens: 6 }, strategy: 'none' } as const;
const filled = (residents: 'layers' | 'tensors') => ({ residents, prefetchDepth: 1 }) as const;

describe('tensors that stay', () => {
  it.each(['cpu', 'isolated'])('write what layers write, and spare lanes more, on %s', async (kind) => {
    const run = (policy: PolicyInput) =>
      runEngine({ ...job, prompts, policy, stopAtEos: false, device: { kind }, machine: budgets });
    const layers = await run(filled('layers'));
    const tensors = await run(filled('tensors'));
    const routed = await run({ ...filled('tensors'), experts: 'routed', hostExpertRows: 1 });
    expect([tensors.outputDigest, routed.outputDigest]).toEqual([layers.outputDigest, layers.outputDigest]);
    expect(tensors.bytesMoved.disk).toBeLessThan(layers.bytesMoved.disk);
    expect(tensors.bytesMoved.link).toBeLessThan(layers.bytesMoved.link);
    const predicted = await simulateRun({
      ...{ ...job, policy: filled('tensors'), acceptance: null },
      promptLengths: prompts.map(({ length }) => length),
      machine: withBudgets({ ...workstation, formats: localFormats }, budgets),
    });
    // What has come ahead when a run ends is a matter of timing: a group or two.
    for (const lane of ['disk', 'link'])
      expect(Math.abs(predicted.bytesMoved[lane] / tensors.bytesMoved[lane] - 1)).toBeLessThan(0.03);
  });

  it('are those that a pass is likeliest to use', () => {
    const place = (policy: PolicyInput) =>
      placeContender(
        { ...job, target: mixtral(8), promptLengths: [8], machine: workstation, acceptance: null },
        { strategy: 'none', policy },
      ).plan.target;
    const routed = place({ residents: 'tensors', experts: 'routed' });
    expect([...routed.pinned.keys()].slice(0, 8).every((id) => id.endsWith('attention'))).toBe(true);
    const layersOfExperts = (pinned: ReadonlyMap<string, unknown>) =>
      [...pinned.keys()].flatMap((id) => /^layer\.(\d+)\.expert/.exec(id)?.[1] ?? []);
    // No layer has a second group before all have one.
    const counted = layersOfExperts(routed.pinned);
    expect(new Set(counted.slice(0, 8)).size).toBe(Math.min(8, counted.length));
  });
});
