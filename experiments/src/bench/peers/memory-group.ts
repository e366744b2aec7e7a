/** Memory that a process may take, its page cache included: cgroups of version 1, where this user may make one. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

const groups = '/sys/fs/cgroup/memory';

/** Why no process can be given less memory than it wants, or null. */
export function whyNoLimit(): string | null {
  if (!existsSync(`${groups}/memory.limit_in_bytes`)) return 'there are no memory cgroups of version 1 here';
  try {
    rmdirSync(confine(2 ** 30));
    return null;
  } catch (error) {
    return `this user may make no memory cgroup (${(error as NodeJS.ErrnoException).code})`;
  }
}

/** @returns the group's folder, whose `cgroup.procs` takes a process in */
export function confine(limitBytes: number): string {
  const group = `${groups}/specoffload-bench-${process.pid}`;
  mkdirSync(group);
  writeFileSync(`${group}/memory.limit_in_bytes`, String(Math.floor(limitBytes)));
  return group;
}

/**
 * Leaves nothing of a file, or of those in a folder, in the page cache: pages count for the group that read them first, so a confined process
 * would have for nothing what another one has read before it.
 */
export function forgetCached(path: string): void {
  if (statSync(path).isDirectory()) for (const name of readdirSync(path)) forgetCached(join(path, name));
  else execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}

/** Its process is gone; the kernel lets go of its memory a little later. */
export async function release(group: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await setTimeout(100);
    }
  }
}
