/** One measurement at a time on a machine: a lock file with the process that holds it. */

import { link, open, readFile, rename, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { hasCode } from '@specoffload/input';
import { isAlive } from '../processes.js';

export const machineLockPath = join(tmpdir(), 'specoffload-measuring.lock');

export interface MachineLock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** @default one for all users of the system's folder for temporary files */
  readonly path?: string;
  /** Called once, when somebody else is measuring, with the id of their process. */
  readonly onWait: (pid: number) => void;
  readonly signal: AbortSignal;
}

const pollMs = 500;

/** Waits until nobody else measures. @throws the signal's reason when it aborts. */
export async function lockMachine({
  path = machineLockPath,
  onWait,
  signal,
}: LockOptions): Promise<MachineLock> {
  const content = JSON.stringify({ pid: process.pid, started: await startOf(process.pid) });
  for (let isWaiting = false; ; ) {
    signal.throwIfAborted();
    if (await create(path, content)) return { release: () => release(path, content) };
    const holder = await readFile(path, 'utf8').catch(() => null);
    if (holder === null) continue; // released just now
    const pid = await maybeHolder(holder);
    if (pid === null) await removeStale(path, holder);
    else {
      if (!isWaiting) onWait(pid);
      isWaiting = true;
      await setTimeout(pollMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** @returns false when it is there already. */
async function create(path: string, content: string): Promise<boolean> {
  // Appears with its content: nobody ever reads half of it.
  const aside = `${path}-${process.pid}-${Math.trunc(performance.now() * 1000)}`;
  const file = await open(aside, 'wx');
  try {
    await file.writeFile(content);
    await file.close();
    await link(aside, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await unlink(aside);
  }
}

async function release(path: string, content: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => null)) === content) await rm(path, { force: true });
}

/** null when the lock's process is gone, or its id belongs to another one by now. */
async function maybeHolder(content: string): Promise<number | null> {
  try {
    const { pid, started } = JSON.parse(content) as { pid: number; started: string | null };
    return isAlive(pid) && (started === null || (await startOf(pid)) === started) ? pid : null;
  } catch {
    return null;
  }
}

/** Takes away what was judged stale, and puts back what somebody created meanwhile. */
async function removeStale(path: string, judged: string): Promise<void> {
  const aside = `${path}-stale-${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== judged) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

/** Clock ticks from boot to the start of a process, field 22 of /proc/PID/stat; null where the system does not say. */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
