/** How fast a machine is just then, beside what its rates say. */

import {
  computeLane,
  describeCatalogModel,
  type LaneReport,
  type MachineModel,
  type RunOutcome,
  simulateRun,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { judgeOwnPace } from '../../../experiments/src/accuracy/own-pace.js';
import { atPace, commonPace, meanPace, paceOf, paceSince } from '../../../experiments/src/accuracy/pace.js';
import { openMachine } from '../../../experiments/src/inputs/machines.js';

const target = describeCatalogModel('mixtral-8x7b');

const run = (machine: MachineModel) =>
  simulateRun({
    ...{ target, draft: null, strategy: 'none', promptLengths: [64, 64], maxNewTokens: 3, machine },
  });

describe('the pace of a machine', async () => {
  const plain = await openMachine('env1');
  // With rates of its own for prompts, as this machine's file has them.
  const { arithmetic } = computeLane(plain, 'device');
  const twice = arithmetic.map(([rows, rate]) => [rows, 2 * rate] as const);
  const machine = withLane(plain, 'device', { prefill: { expert: { arithmetic: twice } } });

  it('is found in a run, and makes the prediction what was measured', async () => {
    const asked = {
      prefill: { disk: 1.25, link: 1.5, host: 1, device: 3 },
      decode: { disk: 1.25, link: 1.5, host: 1, device: 2 },
    };
    const [predicted, measured] = [await run(machine), await run(atPace(machine, asked))];
    expect(measured.seconds).toBeGreaterThan(predicted.seconds * 1.2);
    const pace = paceOf(measured, predicted, machine);
    expect(pace.decode.link).toBeCloseTo(1.5, 2);
    const again = await run(atPace(machine, pace));
    expect(again.seconds / measured.seconds).toBeCloseTo(1, 1);
    const own = await judgeOwnPace(measured, predicted, machine, run);
    expect(own).toMatchObject({ pace, error: again.tokensPerSecond / measured.tokensPerSecond - 1 });
    expect(Math.abs(own.error)).toBeLessThan(0.05);
  });

  it('leaves a machine as it is where nothing has changed, and out what hardly worked', () => {
    const lanes = (busySeconds: number): Record<string, LaneReport> =>
      Object.fromEntries(
        ['disk', 'link', 'host', 'device'].map((lane) => [
          lane,
          { busySeconds, utilization: 1, bytes: 0, numTasks: 1 },
        ]),
      );
    const outcome = (busySeconds: number) =>
      ({
        phases: { prefill: { lanes: lanes(busySeconds) }, decode: { lanes: lanes(busySeconds) } },
      }) as unknown as RunOutcome;
    const even = paceOf(outcome(2), outcome(2), machine);
    expect(atPace(machine, even)).toMatchObject({ lanes: machine.lanes.map(({ name }) => ({ name })) });
    expect(computeLane(atPace(machine, even), 'device').arithmetic).toEqual(arithmetic);
    expect(paceOf(outcome(0.001), outcome(0.004), machine)).toEqual(even);
    const twice = paceOf(outcome(4), outcome(2), machine);
    const between = meanPace([even, twice]);
    expect(between.decode).toEqual({ disk: 1.5, link: 1.5, host: 1.5, device: 1.5 });
    expect(paceSince(twice, between).prefill).toEqual({ disk: 0.75, link: 0.75, host: 0.75, device: 0.75 });
  });

  it('is one for all lanes where a short run tells it: what they have in common', () => {
    const told = {
      prefill: { disk: 0.8, link: 1.25, host: 1, device: 2 },
      decode: { disk: 0.8, link: 1.25, host: 1, device: 8 },
    };
    const all = { disk: 2, link: 2, host: 2, device: 2 };
    const { prefill, decode } = commonPace(told);
    for (const lane of Object.keys(all)) {
      expect(prefill[lane]).toBeCloseTo(2, 10); // the fourth root of 0.8, 1.25, 2 and 8
      expect(decode[lane]).toBeCloseTo(2, 10);
    }
    const even = { disk: 1, link: 1, host: 1, device: 1 };
    expect(commonPace({ prefill: even, decode: even })).toEqual({ prefill: even, decode: even });
  });

  it('is one of its own while prompts are read', () => {
    const even = { disk: 1, link: 1, host: 1, device: 1 };
    const slower = computeLane(
      atPace(machine, { prefill: { ...even, device: 4 }, decode: { ...even, device: 2 } }),
      'device',
    );
    const half = arithmetic.map(([rows, rate]) => [rows, rate / 2]);
    expect(slower.arithmetic).toEqual(half);
    expect(slower.prefill?.expert?.arithmetic).toEqual(half); // twice as fast, four times as slow
  });
});
