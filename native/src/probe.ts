/** What the machine and the cgroup allow, read from /proc and /sys as text; the same for the addon and its twin. */

import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { posix } from 'node:path';
import type { ProbeReport } from './types.js';

/** Reads a text file, or null where there is none. Injected, so that tests can show other machines. */
export type ReadText = (path: string) => string | null;

export const readSystemText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

/** Everything but what only native code knows. */
export function probeSystem(
  readText: ReadText = readSystemText,
): Omit<ProbeReport, 'kernelLevel' | 'kernelLevels'> {
  return {
    cpuModel: probeCpuModel(readText),
    allowedCores: probeAllowedCores(readText),
    memoryBytes: totalmem(),
    ...probeCgroup(readText),
    peakResidentBytes: probePeakResident(readText),
  };
}

function probeCpuModel(readText: ReadText): string {
  const model = /^model name\s*:\s*(.+)$/m.exec(readText('/proc/cpuinfo') ?? '')?.[1] ?? cpus()[0]?.model;
  return model?.trim() || 'unknown';
}

/** `Cpus_allowed_list: 0-3,8` is the affinity mask of the process's main thread. */
function probeAllowedCores(readText: ReadText): number[] {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(readText('/proc/self/status') ?? '')?.[1];
  return list === undefined ? cpus().map((_, core) => core) : parseCoreList(list);
}

/** `parseCoreList('0-2,8')` is `[0, 1, 2, 8]`. */
export function parseCoreList(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function probePeakResident(readText: ReadText): number {
  const kibibytes = /^VmHWM:\s*(\d+) kB$/m.exec(readText('/proc/self/status') ?? '')?.[1];
  return kibibytes === undefined ? process.resourceUsage().maxRSS * 1024 : Number(kibibytes) * 1024;
}

type CgroupLimits = Pick<ProbeReport, 'cgroupMemoryBytes' | 'cgroupCores'>;

/** A cgroup file system in /proc/self/mountinfo: the part of the hierarchy under `root` is seen at `mountPoint`. */
interface CgroupMount {
  readonly root: string;
  readonly mountPoint: string;
  /** Null for version 2, the controllers for version 1. */
  readonly controllers: readonly string[] | null;
}

/**
 * The tightest limits from this process's cgroup up to the mount point. Limits of ancestors bind too, and a
 * container often sees only part of the hierarchy.
 */
export function probeCgroup(readText: ReadText): CgroupLimits {
  const mounts = parseCgroupMounts(readText('/proc/self/mountinfo') ?? '');
  let cgroupMemoryBytes: number | null = null;
  let cgroupCores: number | null = null;
  for (const line of (readText('/proc/self/cgroup') ?? '').split('\n')) {
    const [, id, controllers = '', path] = /^(\d+):([^:]*):(.+)$/.exec(line) ?? [];
    if (id === undefined || path === undefined) continue;
    const names = controllers === '' ? null : controllers.split(',');
    const mount = mounts.find((candidate) => isMountOf(candidate, names));
    if (!mount) continue;
    for (const folder of foldersUpTo(mount, path)) {
      const read = (name: string) => readText(posix.join(folder, name))?.trim() ?? '';
      if (names === null) {
        cgroupMemoryBytes = least(cgroupMemoryBytes, parseMemoryLimit(read('memory.max')));
        const [quota = '', period = ''] = read('cpu.max').split(' ');
        cgroupCores = least(cgroupCores, parseCores(quota, period));
      }
      if (names?.includes('memory')) {
        cgroupMemoryBytes = least(cgroupMemoryBytes, parseMemoryLimit(read('memory.limit_in_bytes')));
      }
      if (names?.includes('cpu')) {
        cgroupCores = least(cgroupCores, parseCores(read('cpu.cfs_quota_us'), read('cpu.cfs_period_us')));
      }
    }
  }
  return { cgroupMemoryBytes, cgroupCores };
}

/** Lines read `36 35 98:0 /root /mount/point options - cgroup2 source superOptions`. */
function parseCgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split('\n').flatMap((line): CgroupMount[] => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', , superOptions = ''] = after.split(' ');
    const [, , , root = '/', mountPoint = ''] = before.split(' ').map(unescapeMount);
    if (type === 'cgroup2') return [{ root, mountPoint, controllers: null }];
    if (type === 'cgroup') return [{ root, mountPoint, controllers: superOptions.split(',') }];
    return [];
  });
}

/** mountinfo writes spaces and the like as octal: `\040`. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isMountOf(mount: CgroupMount, names: readonly string[] | null): boolean {
  if (names === null || mount.controllers === null) return names === mount.controllers;
  return names.every((name) => mount.controllers?.includes(name));
}

/** The folders of `path` and its ancestors as seen at the mount; just the mount point when `path` lies outside. */
function foldersUpTo(mount: CgroupMount, path: string): string[] {
  const inside = posix.relative(mount.root, path);
  const steps = inside === '' || inside.startsWith('..') ? [] : inside.split('/');
  return Array.from({ length: steps.length + 1 }, (_, i) =>
    posix.join(mount.mountPoint, ...steps.slice(0, steps.length - i)),
  );
}

/** Null for no limit: `max`, an absent file, or version 1's near-2^63 for "unlimited". */
function parseMemoryLimit(text: string): number | null {
  const bytes = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return bytes < 2 ** 60 ? bytes : null;
}

/** Null for no limit: `max`, -1 or an absent file. */
function parseCores(quota: string, period: string): number | null {
  const cores = /^\d+$/.test(quota) ? Number(quota) / Number(period) : Number.NaN;
  return 0 < cores && cores < Infinity ? cores : null;
}

function least(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b);
}
