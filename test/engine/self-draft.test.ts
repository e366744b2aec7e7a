/** The target's own resident layers as the draft: the same tokens, no second copy of a weight, and what it is predicted to cost. */

import {
  catalogSpec,
  closedForm,
  describeModel,
  limitsOf,
  openCheckpoint,
  type PolicyInput,
  placeContender,
  recordAcceptance,
  runEngine,
  type StrategyName,
  simulateRun,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';
import { mixtral, workstation } from './plan-cases.js';

const jobOf = async (name: string) => ({
  ...{ target: await openCheckpoint(goldenDirectory(name)), draft: null, maxNewTokens: 16, stopAtEos: false },
  prompts: readGolden(name).prompts.map(({ ids }) => ids),
  machine: { deviceBytes: 16e6, hostBytes: 16e6 },
});

describe('a target as its own draft', () => {
  it.each<[string, StrategyName, PolicyInput]>([
    ['mixtral', 'serial', { candidates: 3, draftLayers: 2 }],
    ['gemma3', 'serial', { candidates: 2, speculation: 'ahead', draftBatch: 1 }],
    ['gpt-oss', 'specoffload', { candidates: 3, draftCache: 'recompute', pinnedLayers: 3 }],
    ['qwen3-moe', 'specoffload', { candidates: 4, pinnedLayers: 1, experts: 'routed' }],
  ])('writes what it writes alone: %s, %s with %o', async (name, strategy, policy) => {
    const job = await jobOf(name);
    const alone = await runEngine({ ...job, strategy: 'none' });
    const run = await runEngine({
      ...{ ...job, strategy, policy, drafter: 'self', device: { kind: 'isolated' } },
    });
    expect(run.outputDigest).toBe(alone.outputDigest);
    expect(run.acceptance?.proposed).toBeGreaterThan(20);
    expect(run.spans.some(({ kind, lane }) => kind === 'draft' && lane === 'device')).toBe(true);
  });

  it('is always right with all of its layers, which nothing but their order could tell from itself', async () => {
    const job = await jobOf('mistral-full');
    const { length } = job.target.layers;
    const run = await runEngine({
      ...{ ...job, strategy: 'serial', drafter: 'self', policy: { draftLayers: length } },
    });
    expect(run.acceptance?.rate).toBe(1);
  });

  it('is right as often as its layers are by themselves, which a prediction can be told', async () => {
    const { stopAtEos, ...job } = await jobOf('mixtral');
    const policy = { candidates: 3, draftLayers: 2, pinnedLayers: 3 };
    const run = await runEngine({ ...job, stopAtEos, policy, strategy: 'serial', drafter: 'self' });
    const trace = await recordAcceptance({
      ...{ ...job, policy, drafter: 'self', name: 'own', candidates: 3, newTokens: 16 },
      texts: run.sequences.map(({ ids }, index) => ({ prompt: job.prompts[index], newIds: ids })),
    });
    const predicted = await simulateRun({
      ...{ ...job, policy, strategy: 'serial', drafter: 'self', acceptance: trace, machine: workstation },
      promptLengths: job.prompts.map(({ length }) => length),
    });
    expect(predicted.acceptance).toEqual(run.acceptance);
    expect(predicted.passes).toBe(run.passes);
  });
});

describe('its memory', () => {
  const job = {
    ...{ target: mixtral(8), draft: null, machine: workstation, maxNewTokens: 16 },
    ...{ promptLengths: [64, 64, 64, 64], acceptance: null },
  };
  const place = (policy: PolicyInput, drafter?: 'self') => {
    const strategy = drafter ? 'serial' : 'none';
    return placeContender({ ...job, drafter }, { strategy, policy }).plan;
  };
  const weightsIn = ({ pools }: ReturnType<typeof place>) =>
    pools.device.byLabel.filter(([label]) => /weights|layers|head/.test(label));

  it('has no weights of its own, only a cache of its layers and activations', () => {
    const [alone, drafting] = [place({ pinnedLayers: 3 }), place({ pinnedLayers: 3 }, 'self')];
    expect(weightsIn(drafting)).toEqual(weightsIn(alone));
    expect(drafting.draft?.kvCache).toHaveLength(3);
    const more = drafting.pools.device.totalBytes - alone.pools.device.totalBytes;
    expect(more).toBeGreaterThan(0);
    expect(more).toBeLessThan(0.05 * alone.pools.device.totalBytes);
  });

  it('pins the first and the last layer, and leaves room for what it needs beside them', () => {
    const { draft, target, pinnedLayers, pools } = place({}, 'self');
    expect(pinnedLayers).toBeGreaterThan(1);
    expect(draft?.checkpoint.layers[0]).toBe(target.checkpoint.layers[0]);
    expect(pools.device.totalBytes).toBeLessThan(limitsOf(workstation).deviceBytes);
    const without = place({}).pinnedLayers;
    expect([without - 1, without]).toContain(pinnedLayers);
  });

  it('is refused where no layer may stay', () => {
    expect(() => place({ pinnedLayers: 1, draftLayers: 2 }, 'self')).toThrow(
      'invalid pinnedLayers: 1; the drafter computes with layers of the target that stay on the device: expected at least 2, or another drafter',
    );
    expect(() => place({ draftLayers: 9 }, 'self')).toThrow('invalid draftLayers: 9;');
  });

  it('and its time are known in closed form', async () => {
    const speculating = { ...job, acceptance: { kind: 'rates', name: '0.7', byPosition: [0.7] } } as const;
    const prepared = placeContender({ ...job, drafter: 'self' }, { strategy: 'serial', policy: {} });
    const { phases } = closedForm({ ...speculating, prepared });
    const simulated = await simulateRun({ ...speculating, strategy: 'serial', drafter: 'self' });
    for (const form of [
      phases.decode.lanes.device / simulated.phases.decode.lanes.device.busySeconds,
      phases.decode.seconds / simulated.phases.decode.seconds,
    ]) {
      expect(form).toBeGreaterThan(0.8);
      expect(form).toBeLessThan(1.25);
    }
  });
});

it('with many small experts reads those that its rows choose', async () => {
  const target = describeModel({ name: 'fine', spec: catalogSpec('qwen3-30b-a3b') });
  const bytesOf = async (prompts: number) => {
    const { spans } = await simulateRun({
      ...{ target, draft: null, strategy: 'serial', drafter: 'self', machine: workstation, maxNewTokens: 8 },
      ...{ policy: { candidates: 1, pinnedLayers: 2 }, promptLengths: new Array<number>(prompts).fill(8) },
      acceptance: { kind: 'rates', name: '1', byPosition: [1] },
    });
    return spans.filter(({ kind }) => kind === 'draft').at(-1)?.bytes as number;
  };
  expect(await bytesOf(32)).toBeGreaterThan(2 * (await bytesOf(1)));
});
