/** A Vulkan device that lacks something or fails: one sentence, or the same tokens by another way. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  type DeviceChoice,
  nameDevice,
  openCheckpoint,
  runEngine,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { loadVulkan } from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPipelineCache } from '../../engine/dist/machine/vulkan-kernels.js';
import { projectDirectory } from '../../experiments/src/paths.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory, readGolden } from './model/golden.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const golden = readGolden('llama-headdim').prompts;

it('auto is a card of its own memory, else the processor; a device has one name', () => {
  expect(nameDevice('auto')).toMatch(/^(cpu|vulkan(:\d)?)$/);
  expect(nameDevice('vulkan:0')).toBe('vulkan');
  expect(nameDevice('vulkan:3')).toBe('vulkan:3');
  expect(() => nameDevice('vulkan:x')).toThrow('invalid device: vulkan:x; expected cpu or isolated');
});

it('without a driver it says what is missing', () => {
  const program = `
    const { loadVulkan } = await import('@specoffload/native');
    try { console.log(loadVulkan().listDevices().length); } catch (error) { console.log(error.code, error.message); }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    ...{ cwd: projectDirectory, encoding: 'utf8' },
    env: { ...process.env, VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' },
  });
  expect(stdout).toMatch(/^VULKAN .*(mesa-vulkan-drivers|libvulkan1|libvulkan-dev|native core)/);
});

describe.skipIf(whyNoVulkan !== null)(`a Vulkan device${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`, () => {
  let target: Checkpoint;

  beforeAll(async () => {
    target = await openCheckpoint(goldenDirectory('llama-headdim'));
  });

  afterAll(() => expect(validationMessages()).toEqual([]));

  const run = (trials: DeviceChoice['trials'], kind = 'vulkan') =>
    runEngine({
      ...{ target, draft: null, prompts: golden.map(({ ids }) => ids), strategy: 'none' },
      ...{ maxNewTokens: golden[0]!.greedy_ids.length, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
      ...{ policy: { pinnedLayers: 0, keptLayers: 0 } },
      device: { kind, trials: { ...watchedVulkan.trials, ...trials } },
    });
  const refusal = (trials: DeviceChoice['trials'], kind?: string) =>
    run(trials, kind).catch((error) => error);

  it.each([
    ['import refused', { refusesImport: true }, 'staged'],
    ['a queue of one family only', { usesOneFamily: true }, 'imported'],
  ] as const)('%s: writes the same', async (_, trials, link) => {
    const { sequences, device } = await run(trials);
    expect(sequences.map(({ ids }) => ids)).toEqual(golden.map(({ greedy_ids }) => greedy_ids));
    expect(device).toMatchObject({ link, name: expect.any(String) });
  });

  it('a budget of more than is free: says so in a sentence', async () => {
    const error = await refusal({ freeBytes: 2 ** 20 });
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(
      / has 1 MiB of its memory free, and this run asks for \d+ MiB; use a smaller device memory budget, /,
    );
  });

  it('says how busy its queues were and what they did, by phase, and what the card drew', async () => {
    const chip = join(createTemporaryDirectory(), 'bus/pci/devices/x/hwmon/hwmon0');
    mkdirSync(chip, { recursive: true });
    writeFileSync(join(chip, 'power1_input'), '50000000');
    const sysfs = chip.slice(0, chip.indexOf('/bus'));
    const power = { pciAddress: 'x', library: 'none', sysfs };
    const { deviceUse, devicePower, phases } = await run({ power });
    for (const phase of ['prefill', 'decode'] as const) {
      const { busySeconds, utilization, kernelSeconds } = deviceUse!.compute![phase];
      expect(utilization).toBeCloseTo(busySeconds / phases[phase].seconds, 1);
      expect(Object.keys(kernelSeconds)).toEqual(
        expect.arrayContaining(['copy', 'matmul', 'norm', 'activation']),
      );
      expect(Object.values(kernelSeconds).reduce((all, seconds) => all + seconds)).toBeCloseTo(busySeconds);
      // A task's span has the queue's work in it and little else.
      expect(busySeconds).toBeLessThanOrEqual(phases[phase].lanes.device.busySeconds * 1.05 + 1e-3);
      expect(busySeconds).toBeGreaterThan(phases[phase].lanes.device.busySeconds / 2);
      expect(Object.keys(deviceUse!.copy![phase].kernelSeconds)).toEqual(['copy']);
      expect(devicePower![phase].joules).toBeCloseTo(50 * phases[phase].seconds, 0);
      expect(devicePower![phase].watts).toBeCloseTo(50, 0);
    }
    expect(devicePower!.source).toBe('hwmon');
  });

  it('allocation refused: says how much, of what, and what to do', async () => {
    const error = await refusal({ refusesAllocation: true });
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(/gives no \d+ MiB of its memory; use a smaller .*: out of device memory$/);
  });

  it.each([0, 7, 40])(
    'lost after %d submissions: says so once, and serves the next run',
    async (losesAfter) => {
      const error = await refusal({ losesAfter });
      expect(error).toBeInstanceOf(UserError);
      expect(error.message).toMatch(/^.* does not answer any more: the device was lost; start again/);
      const { sequences } = await run({});
      expect(sequences[0]!.ids).toEqual(golden[0]!.greedy_ids);
    },
  );

  it('the TypeScript twin: says what a GPU needs', async () => {
    const machine = { deviceBytes: 16e6, hostBytes: 16e6, native: 'twin' } as const;
    const twin = { target, draft: null, prompts: [[1]], strategy: 'none', maxNewTokens: 1, machine } as const;
    const refused = runEngine({ ...twin, device: { kind: 'vulkan' } });
    await expect(refused).rejects.toThrow('a Vulkan device needs the native core');
  });

  it('keeps what the driver has compiled, and trusts nothing else in its place', async () => {
    const folder = createTemporaryDirectory();
    const before = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = folder;
    try {
      await run({});
      const [gpu] = loadVulkan().listDevices();
      const stored = readPipelineCache(gpu!);
      expect(stored.length).toBeGreaterThan(0);
      const [name] = readdirSync(join(folder, 'specoffload'));
      const path = join(folder, 'specoffload', name!);
      const bytes = readFileSync(path);
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(path, bytes);
      expect(readPipelineCache(gpu!).length).toBe(0);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  });

  it('none of that number: says how many there are', async () => {
    const error = await refusal({}, 'vulkan:99');
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(/^there is no Vulkan device 99; found \d/);
  });
});
