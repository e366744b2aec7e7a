import { once } from 'node:events';
import { availableParallelism, totalmem } from 'node:os';
import { Worker } from 'node:worker_threads';
import { loadNativeCore } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { parseCoreList, probeCgroup, probeSystem } from '../../native/src/probe.js';
import { addonIsBuilt, cores, twin } from './helpers.js';

describe.each(cores)('probe, %s', (_, core) => {
  test('describes this machine', () => {
    const report = core.probe();
    expect(report.cpuModel).not.toBe('');
    expect(report.allowedCores.length).toBeGreaterThanOrEqual(1);
    expect(new Set(report.allowedCores).size).toBe(report.allowedCores.length);
    expect(report.memoryBytes).toBe(totalmem());
    expect(report.peakResidentBytes).toBeGreaterThanOrEqual(10 * 2 ** 20);
    expect(report.peakResidentBytes).toBeLessThan(report.memoryBytes);
    for (const limit of [report.cgroupMemoryBytes, report.cgroupCores]) {
      if (limit !== null) expect(limit).toBeGreaterThan(0);
    }
  });

  test('sees the largest resident set grow and not shrink', () => {
    const arena = core.createArena(2 ** 26);
    const before = core.probe().peakResidentBytes;
    new Uint8Array(arena.buffer).fill(1);
    arena.release();
    expect(core.probe().peakResidentBytes).toBeGreaterThanOrEqual(before);
  });

  test('refuses cores that are no core numbers', () => {
    expect(() => core.pinThread([])).toThrow('invalid cores: none; expected at least one core number');
    expect(() => core.pinThread([-1])).toThrow('invalid core: -1; expected a whole number from 0');
    expect(() => core.pinThread([0.5])).toThrow('invalid core: 0.5');
  });
});

test('the twin cannot pin, has one level of kernels, and agrees on the rest', () => {
  expect(twin.pinThread([0])).toBe(false);
  expect(twin.probe()).toMatchObject({ kernelLevel: 'typescript', kernelLevels: ['typescript'] });
  if (!addonIsBuilt) return;
  const { allowedCores, cpuModel, memoryBytes, cgroupMemoryBytes, cgroupCores } =
    loadNativeCore('native').probe();
  expect(twin.probe()).toMatchObject({ allowedCores, cpuModel, memoryBytes, cgroupMemoryBytes, cgroupCores });
  expect(allowedCores.length).toBeGreaterThanOrEqual(1);
  expect(availableParallelism()).toBeLessThanOrEqual(allowedCores.length);
});

test.runIf(addonIsBuilt)(
  'the addon pins the calling thread and what it starts, not its neighbours',
  async () => {
    const [first] = loadNativeCore('native').probe().allowedCores;
    const worker = new Worker(new URL('./fixtures/pin.mjs', import.meta.url), {
      workerData: { core: first },
    });
    const [{ pinned, allowed, refusal }] = await once(worker, 'message');
    expect({ pinned, allowed }).toEqual({ pinned: true, allowed: String(first) });
    expect(refusal).toEqual({ code: 'EINVAL', message: 'cannot pin the thread: Invalid argument' });
    expect(loadNativeCore('native').probe().allowedCores).toEqual(twin.probe().allowedCores);
  },
);

/** A machine made of texts; other files don't exist. */
function probeTexts(files: Record<string, string>) {
  return probeCgroup((path) => files[path] ?? null);
}

const v2Mount = '30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n';

describe('cgroup limits', () => {
  test.each([
    ['no cgroups at all', {}, { cgroupMemoryBytes: null, cgroupCores: null }],
    [
      'version 2, the limits of its own group',
      {
        '/proc/self/mountinfo': v2Mount,
        '/proc/self/cgroup': '0::/work/job\n',
        '/sys/fs/cgroup/work/job/memory.max': '1073741824\n',
        '/sys/fs/cgroup/work/job/cpu.max': '150000 100000\n',
      },
      { cgroupMemoryBytes: 2 ** 30, cgroupCores: 1.5 },
    ],
    [
      'version 2, an ancestor is tighter',
      {
        '/proc/self/mountinfo': v2Mount,
        '/proc/self/cgroup': '0::/work/job\n',
        '/sys/fs/cgroup/work/job/memory.max': 'max\n',
        '/sys/fs/cgroup/work/memory.max': '500000000\n',
        '/sys/fs/cgroup/work/job/cpu.max': '400000 100000\n',
        '/sys/fs/cgroup/work/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/cpu.max': 'max 100000\n',
      },
      { cgroupMemoryBytes: 5e8, cgroupCores: 2 },
    ],
    [
      'version 2 in a container that sees its own group as the root',
      {
        '/proc/self/mountinfo': '30 23 0:27 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
        '/proc/self/cgroup': '0::/docker/abc\n',
        '/sys/fs/cgroup/memory.max': '2000000000\n',
      },
      { cgroupMemoryBytes: 2e9, cgroupCores: null },
    ],
    [
      'version 1, controllers mounted apart',
      {
        '/proc/self/mountinfo':
          '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n' +
          '36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n',
        '/proc/self/cgroup': '4:memory:/box\n3:cpu,cpuacct:/\n9:name=systemd:/\n0::/\n',
        '/sys/fs/cgroup/memory/box/memory.limit_in_bytes': '300000000\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      },
      { cgroupMemoryBytes: 3e8, cgroupCores: 0.5 },
    ],
    [
      'version 1 without limits',
      {
        '/proc/self/mountinfo': '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory,cpu\n',
        '/proc/self/cgroup': '4:memory,cpu:/\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        '/sys/fs/cgroup/memory/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/memory/cpu.cfs_period_us': '100000\n',
      },
      { cgroupMemoryBytes: null, cgroupCores: null },
    ],
    [
      'version 1 in a container whose path lies outside its mount, at a mount point with a space',
      {
        '/proc/self/mountinfo': '35 31 0:32 /box /c\\040g rw - cgroup cgroup rw,memory\n',
        '/proc/self/cgroup': '4:memory:/elsewhere\n',
        '/c g/memory.limit_in_bytes': '700000000\n',
      },
      { cgroupMemoryBytes: 7e8, cgroupCores: null },
    ],
  ])('%s', (_, files, expected) => {
    expect(probeTexts(files)).toEqual(expected);
  });
});

test.each([
  ['0', [0]],
  ['0-3', [0, 1, 2, 3]],
  ['1,4-5,9', [1, 4, 5, 9]],
])('the core list %s', (list, expected) => {
  expect(parseCoreList(list)).toEqual(expected);
});

test('what /proc says is what the probe reports', () => {
  const report = probeSystem(
    (path) =>
      ({
        '/proc/cpuinfo': 'processor\t: 0\nmodel name\t: Testing 9000\n',
        '/proc/self/status': 'VmHWM:\t  2048 kB\nCpus_allowed_list:\t2,5\n',
      })[path] ?? null,
  );
  expect(report).toMatchObject({
    cpuModel: 'Testing 9000',
    allowedCores: [2, 5],
    peakResidentBytes: 2048 * 1024,
    cgroupMemoryBytes: null,
    cgroupCores: null,
  });
});
