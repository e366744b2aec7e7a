/** What a card draws, told by a library like NVML and by files like those of hwmon. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { loadVulkan, type PowerOptions } from '@specoffload/native';
import { afterAll, describe, expect, it } from 'vitest';
import { whyNoVulkan } from '../engine/vulkan.js';

const folder = mkdtempSync(join(tmpdir(), 'power-'));
afterAll(() => rmSync(folder, { recursive: true }));

const pciAddress = '0000:01:00.0';
const nobody: PowerOptions = { pciAddress, library: join(folder, 'none.so'), sysfs: folder };

/** A card that draws 100 W, or as many joules a reading as its counter says. */
function fakeNvml(name: string, body: string): string {
  const path = join(folder, `${name}.so`);
  const source = `
    #include <string.h>
    int nvmlInit_v2(void) { return 0; }
    int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** card) {
      *card = (void*)1;
      return strcmp(id, "${pciAddress}") == 0 ? 0 : 6;
    }
    ${body}`;
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', path], {
    input: source,
  });
  if (status !== 0) throw new Error(String(stderr));
  return path;
}

function fakeSysfs(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(folder, 'sysfs-'));
  const chip = join(root, 'bus/pci/devices', pciAddress, 'hwmon/hwmon3');
  mkdirSync(chip, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(chip, name), text);
  return root;
}

async function measure(options: PowerOptions, milliseconds = 120) {
  const meter = new (loadVulkan().PowerMeter)(options);
  await setTimeout(milliseconds);
  const samples = meter.samples();
  const { source } = meter;
  meter.close();
  return { source, samples };
}

describe.skipIf(whyNoVulkan !== null)('a power meter', () => {
  const power = 'int nvmlDeviceGetPowerUsage(void* card, unsigned* mw) { *mw = 100000; return 0; }';

  it.each([
    ['NVML watts', 'nvml', () => ({ ...nobody, library: fakeNvml('watts', power) })],
    ['hwmon watts', 'hwmon', () => ({ ...nobody, sysfs: fakeSysfs({ power1_average: '100000000\n' }) })],
  ] as const)('adds up %s', async (_, source, options) => {
    const measured = await measure(options());
    expect(measured.source).toBe(source);
    const { samples } = measured;
    expect(samples.length).toBeGreaterThanOrEqual(6);
    const [seconds, joules] = [samples.at(-2)! - samples[0]!, samples.at(-1)!];
    expect(joules).toBeCloseTo(100 * seconds, 6);
  });

  it("takes the card's own counter where it has one", async () => {
    const counter = `${power}
      int nvmlDeviceGetTotalEnergyConsumption(void* card, unsigned long long* mj) {
        static unsigned long long all = 5000; *mj = all += 1000; return 0; }`;
    const { source, samples } = await measure({ ...nobody, library: fakeNvml('counter', counter) });
    expect(source).toBe('nvml');
    const joules = [...samples].filter((_, index) => index % 2 === 1);
    expect(joules).toEqual(joules.map((_, index) => index));
  });

  it.each([
    ['there is neither', () => nobody],
    [
      'the library knows another card',
      () => ({ ...nobody, library: fakeNvml('other', power), pciAddress: '0000:02:00.0' }),
    ],
    ['a file holds no number', () => ({ ...nobody, sysfs: fakeSysfs({ power1_input: 'N/A' }) })],
    [
      'the library refuses',
      () => ({
        ...nobody,
        library: fakeNvml('refuses', 'int nvmlDeviceGetPowerUsage(void* card, unsigned* mw) { return 3; }'),
      }),
    ],
  ] as const)('has no source where %s', async (_, options) => {
    expect(await measure(options(), 0)).toEqual({ source: null, samples: new Float64Array() });
  });
});
