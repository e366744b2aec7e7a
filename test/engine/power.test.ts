/** What machines draw: energy of predicted runs by hand, frequencies, and the processor's own counters. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  computeLane,
  describeCatalogModel,
  flattenMachine,
  parseMachineModel,
  simulateRun,
  withRate,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RaplCounters } from '../../engine/dist/machine/rapl.js';
import { EnergyMeter } from '../../engine/dist/run/energy-meter.js';

const device = {
  ...{ name: 'device', computesOn: 'device', arithmetic: '10TFLOP/s', memoryBytesPerSecond: '1TB/s' },
  ...{ secondsPerRow: '1us', kinds: { draft: { arithmetic: '4TFLOP/s' } } },
};
const power = { idleWatts: '50W', busyWatts: { value: '450W', source: 'data sheet' } };

/** @param changes of the device lane */
function machineWith(changes: object, link: object = {}, hostMemory: object = {}) {
  const file = {
    ...{ schema: 2, name: 'test', description: 'for tests', formats: 'bf16' },
    memories: [
      { name: 'disk', bytes: '1TB' },
      { name: 'host', bytes: '64GB', ...hostMemory },
      { name: 'device', bytes: '24GB' },
    ],
    lanes: [
      { name: 'disk', moves: { from: 'disk', to: 'host' }, bytesPerSecond: '3GB/s' },
      { name: 'link', moves: { from: 'host', to: 'device' }, bytesPerSecond: '10GB/s', ...link },
      { name: 'host', computesOn: 'host', arithmetic: '1TFLOP/s', memoryBytesPerSecond: '50GB/s' },
      { ...device, ...changes },
    ],
  };
  return parseMachineModel(file, 'm.json');
}

const predict = (machine: ReturnType<typeof machineWith>) =>
  simulateRun({
    ...{ target: describeCatalogModel('llama-3.2-1b'), draft: null, machine, strategy: 'none' },
    ...{ promptLengths: [16, 16], maxNewTokens: 4 },
  });

describe('a predicted run', () => {
  it('takes what lanes draw idle and busy, what bytes take, and what memory draws', async () => {
    const machine = machineWith({ power }, { power: { joulesPerByte: 1e-9 } }, { idleWatts: 20 });
    const { energy, phases, newTokens, bytesMoved, seconds } = await predict(machine);
    const busySeconds = phases.prefill.lanes.device.busySeconds + phases.decode.lanes.device.busySeconds;
    expect(busySeconds).toBeGreaterThan(0);
    expect(energy?.parts.device).toBeCloseTo(50 * seconds + 400 * busySeconds, 9);
    expect(energy?.parts.link).toBeCloseTo(1e-9 * bytesMoved.link, 9);
    expect(energy?.parts['host memory']).toBeCloseTo(20 * seconds, 9);
    const total = Object.values(energy!.parts).reduce((sum, joules) => sum + joules, 0);
    expect(energy?.joules).toBeCloseTo(total, 9);
    expect(energy!.phases.prefill + energy!.phases.decode).toBeCloseTo(total, 9);
    expect(energy?.joulesPerToken).toBeCloseTo(total / newTokens, 9);
    expect(energy?.sources).toEqual(['lanes']);
  });

  it('has no energy where nobody says what the machine draws, and takes as long either way', async () => {
    const [silent, telling] = [await predict(machineWith({})), await predict(machineWith({ power }))];
    expect(silent).not.toHaveProperty('energy');
    expect(telling.seconds).toBe(silent.seconds);
  });
});

describe('a machine that says nothing of power', () => {
  it('is written down, and so identified, as it was before machines could', () => {
    const flat = JSON.stringify(flattenMachine(machineWith({})));
    expect(flat).not.toMatch(/power|clock|Watts/i);
    expect(JSON.stringify(flattenMachine(machineWith({ power }, {}, { idleWatts: 1 })))).toMatch(
      /"power".*"hostIdleWatts"/,
    );
  });
});

describe('a frequency', () => {
  const clocked = machineWith({ power, clock: { hertz: '1GHz' }, decoding: { q4_k: 1e9 } });

  it('scales rates by itself and the power of work by its third power, and leaves memory alone', () => {
    const half = computeLane(withRate(clocked, 'device.hertz', 0.5e9), 'device');
    const whole = computeLane(clocked, 'device');
    expect(half.arithmetic).toEqual([[1, 5e12]]);
    expect(half.kinds.draft?.arithmetic).toEqual([[1, 2e12]]);
    expect(half.decoding).toEqual({ q4_k: 0.5e9 });
    expect(half.secondsPerRow).toBe(2e-6);
    expect(half.memoryBytesPerSecond).toBe(whole.memoryBytesPerSecond);
    expect(half.power).toEqual({ idleWatts: 50, busyWatts: 50 + 400 / 8 });
    expect(
      computeLane(withRate(withRate(clocked, 'device.hertz', 5e8), 'device.hertz', 1e9), 'device').arithmetic,
    ).toEqual(whole.arithmetic);
  });

  it('goes by points where the file has some', () => {
    const busyWatts = {
      value: [
        ['500MHz', '100W'],
        ['1GHz', '450W'],
      ],
      source: 'measured',
    };
    const pointed = machineWith({ power, clock: { hertz: '1GHz', busyWatts } });
    const at = (hertz: number) =>
      computeLane(withRate(pointed, 'device.hertz', hertz), 'device').power?.busyWatts;
    expect([at(0.5e9), at(0.75e9), at(1e9)]).toEqual([100, 275, 450]);
    expect(() => at(2e9)).toThrow(
      "invalid device.hertz: 2000000000; the machine's power is known from 500000000",
    );
  });

  it('is refused where the file does not say how rates follow it, and so is another power', () => {
    expect(() => withRate(machineWith({ power }), 'device.hertz', 1e9)).toThrow('add "clock" and "power"');
    expect(() => withRate(machineWith({}), 'device.busyWatts', 100)).toThrow('add "power" to the lane');
    expect(computeLane(withRate(clocked, 'device.busyWatts', 300), 'device').power?.busyWatts).toBe(300);
  });
});

it.each([
  [{ power: { idleWatts: '50W' } }, 'power.busyWatts'],
  [
    { power: { idleWatts: '50kg', busyWatts: '60W' } },
    'a number from 0 to 100000 (watts) or a text such as 450W',
  ],
  [
    {
      power,
      clock: {
        hertz: '1GHz',
        busyWatts: [
          ['1GHz', '2W'],
          ['500MHz', '1W'],
        ],
      },
    },
    'pairs of ascending frequencies',
  ],
])('%j is refused', (changes, message) => {
  expect(() => machineWith(changes)).toThrow(message);
});

describe("a processor's counters", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'specoffload-rapl-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const zone = async (folder: string, name: string, microjoules: number) => {
    await mkdir(join(root, folder), { recursive: true });
    await writeFile(join(root, folder, 'name'), `${name}\n`);
    await writeFile(join(root, folder, 'energy_uj'), `${microjoules}\n`);
    await writeFile(join(root, folder, 'max_energy_range_uj'), '10000000\n');
  };

  it('are counted by phase, packages and memory, past the end of their range', async () => {
    await zone('intel-rapl:0', 'package-0', 9e6);
    await zone('intel-rapl:0:0', 'core', 1e6); // within the package
    await zone('intel-rapl:0:1', 'dram', 1e6);
    await zone('intel-rapl-mmio:0', 'package-0', 9e6); // the same again
    const meter = new EnergyMeter(RaplCounters.open(root));
    meter.begin('prefill');
    await zone('intel-rapl:0', 'package-0', 1e6);
    meter.begin('decode');
    await zone('intel-rapl:0', 'package-0', 4e6);
    await zone('intel-rapl:0:1', 'dram', 1.5e6);
    meter.begin(null);
    await zone('intel-rapl:0', 'package-0', 8e6); // nobody's
    const gpu = {
      source: 'nvml',
      prefill: { joules: 10, watts: 1 },
      decode: { joules: 20, watts: 2 },
    } as const;
    expect(meter.energy(gpu, 10)).toEqual({
      ...{ sources: ['rapl', 'nvml'], joules: 35.5, joulesPerToken: 3.55 },
      ...{ phases: { prefill: 12, decode: 23.5 }, parts: { 'package-0': 5, 'dram-0': 0.5, gpu: 30 } },
    });
    meter.close();
  });

  it('are not there on a machine without', () => {
    const meter = new EnergyMeter(RaplCounters.open(join(root, 'nothing')));
    meter.begin('prefill');
    meter.begin(null);
    expect(meter.energy(null, 10)).toBeNull();
  });
});
