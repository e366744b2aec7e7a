/** A plan by recorded routing: the closed form counts its union, and experts that texts agree on are brought alone. */

import {
  closedForm,
  describeModel,
  type PolicyInput,
  placeContender,
  planRun,
  simulateRun,
} from '@specoffload/engine';
import { expect, it } from 'vitest';
import { laptop, mixtral, shrinkMemory } from './plan-cases.js';

const { name, spec } = mixtral(4);
const target = describeModel({ name, spec, unit: 'expert' });
/** Nearly all rows go to three of eight experts. */
const uneven = { rowsByExpert: target.layers.map(() => [300, 280, 260, 4, 4, 4, 4, 4]) };
const even = { rowsByExpert: target.layers.map(() => new Array<number>(8).fill(100)) };
const job = {
  ...{ target, draft: null, machine: shrinkMemory(laptop, 0.3), acceptance: null, maxNewTokens: 16 },
  promptLengths: new Array<number>(6).fill(64),
};

it('counts the union of experts as recorded, and by the formula where all are as popular', async () => {
  const policy: PolicyInput = { experts: 'routed', pinnedLayers: 0, keptLayers: 0 };
  const prepared = placeContender(job, { strategy: 'none', policy });
  const diskSeconds = (routing?: typeof even) =>
    closedForm({ ...job, prepared, routing }).phases.decode.lanes.disk;
  expect(diskSeconds(even)).toBeCloseTo(diskSeconds(), 6);
  const { phases } = await simulateRun({ ...job, strategy: 'none', policy, routing: uneven });
  expect(diskSeconds(uneven) / phases.decode.lanes.disk.busySeconds).toBeCloseTo(1, 1);
  expect(diskSeconds(uneven)).toBeLessThan(0.6 * diskSeconds());
});

it('plans by it', async () => {
  const plan = (routing?: typeof even) =>
    planRun({ ...job, strategies: ['none'], routing, numSeeds: 1, mostSimulations: 6 });
  const [known] = (await plan(uneven)).ranked;
  const [unknown] = (await plan()).ranked;
  expect(known.policy.experts).toBe('routed');
  expect(known.outcome.tokensPerSecond).toBeGreaterThan(1.2 * unknown.outcome.tokensPerSecond);
});
