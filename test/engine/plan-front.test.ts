/** Policies between which only taste decides. */

import {
  type FrontAim,
  type FrontPoint,
  limitsOf,
  type PlanRequest,
  planFront,
  simulateRun,
  withLane,
} from '@specoffload/engine';
import { expect, it } from 'vitest';
import { undominated } from '../../engine/dist/plan/front.js';
import { mixtral, workstation } from './plan-cases.js';

const target = mixtral(6);
const machine = withLane(
  withLane(workstation, 'device', { power: { idleWatts: 20, busyWatts: 300 } }),
  'host',
  { power: { idleWatts: 50, busyWatts: 250 } },
);
const work = {
  ...{ target, draft: null, acceptance: null, machine, maxNewTokens: 8 },
  promptLengths: new Array<number>(32).fill(64),
};
const job: PlanRequest = {
  ...{ ...work, strategies: ['none'], fixed: { refill: 'no', residents: 'layers', experts: 'all' } },
};
const spentOn: Readonly<Record<FrontAim, (point: FrontPoint) => number>> = {
  'device-memory': ({ deviceBytes }) => deviceBytes,
  latency: ({ latencySeconds }) => latencySeconds,
  energy: ({ joulesPerToken }) => joulesPerToken as number,
};

it.each<FrontAim>(['device-memory', 'latency', 'energy'])('trades throughput for %s', async (aim) => {
  const { points, numSimulated } = await planFront({ ...job, aims: [aim], numSeeds: 1 });
  expect(points.length).toBeLessThan(numSimulated);
  // What takes less energy is mostly what takes less time.
  expect(points.length).toBeGreaterThanOrEqual(aim === 'energy' ? 1 : 3);
  for (const [index, point] of points.entries()) {
    const next = points[index + 1];
    if (next) expect(next.tokensPerSecond).toBeLessThan(point.tokensPerSecond);
    if (next) expect(spentOn[aim](next)).toBeLessThan(spentOn[aim](point));
    expect(point.deviceBytes).toBeLessThanOrEqual(limitsOf(point.machine).deviceBytes);
  }
  // Each is what its policy comes to where it was planned for.
  const { planned, machine: own, ...last } = points.at(-1)!;
  const { strategy, input: policy } = planned;
  const outcome = await simulateRun({ ...work, strategy, policy, machine: own, seed: 2, draws: 'common' });
  expect(outcome.tokensPerSecond).toBeCloseTo(last.tokensPerSecond, 6);
  expect(outcome.energy!.joulesPerToken).toBeCloseTo(last.joulesPerToken!, 6);
  const underWay = Math.min(32, outcome.policy.decodeBatch);
  expect(last.latencySeconds).toBeCloseTo((outcome.seconds * underWay) / 32, 6);
});

it('leaves out what another is as good as', () => {
  const costs = (tokensPerSecond: number, deviceBytes: number, latencySeconds: number) => ({
    ...{ tokensPerSecond, deviceBytes, latencySeconds, joulesPerToken: null },
  });
  const [fast, small, quick] = [costs(100, 9, 9), costs(50, 3, 9), costs(40, 9, 1)];
  const nearly = costs(100.2, 12, 12);
  const worse = [costs(99, 9.5, 9.5), costs(50, 4, 9), costs(39, 9, 2), costs(10, 3, 5)];
  const all = [...worse, quick, small, nearly, fast];
  const none = (item: ReturnType<typeof costs>) => item;
  expect(undominated(all, none, ['device-memory', 'latency'])).toEqual([fast, small, quick, worse[3]]);
  expect(undominated(all, none, ['latency'])).toEqual([fast, quick]);
});

it('refuses energy where nobody says what lanes draw, and aims that are none', async () => {
  await expect(planFront({ ...job, machine: workstation, aims: ['energy'] })).rejects.toThrow(
    'workstation does not say what its lanes draw',
  );
  await expect(planFront({ ...job, aims: [] })).rejects.toThrow(
    'there is nothing to weigh against throughput',
  );
});
