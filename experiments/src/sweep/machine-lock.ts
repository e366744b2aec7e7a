/** One measurement at a time on a machine: a lock file with the process that holds it. */

import { constants } from 'node:fs';
import { link, lstat, open, readFile, rename, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  type Checked,
  check,
  explainSystemError,
  hasCode,
  is,
  parseJson,
  UserError,
} from '@specoffload/input';
import { isAlive } from '../store/processes.js';

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
/** A stale lock that is still there after so many tries to remove it is one that we cannot remove. */
const mostRemovals = 5;
const mostBytes = 4096;

/**
 * Waits until nobody else measures.
 * @throws the signal's reason when it aborts; UserError when something that is no lock, or a stale one of another user,
 * stands in its place
 */
export async function lockMachine({
  path = machineLockPath,
  onWait,
  signal,
}: LockOptions): Promise<MachineLock> {
  const content = JSON.stringify({ pid: process.pid, started: await startOf(process.pid) });
  let isWaiting = false;
  for (let removals = 0; ; ) {
    signal.throwIfAborted();
    if (await create(path, content)) return { release: () => release(path, content) };
    const holder = await readLock(path);
    if (holder === null) continue; // released just now
    const pid = await maybeHolder(holder);
    if (pid === null) {
      removals += 1;
      if (removals > mostRemovals) throw standsInTheWay(path, 'its process is gone, and it comes back');
      await removeStale(path, holder);
    } else {
      if (!isWaiting) onWait(pid);
      isWaiting = true;
      await setTimeout(pollMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** @returns the id of the process that measures on this machine; null when none does, or nobody can tell */
export async function whoMeasures(path = machineLockPath): Promise<number | null> {
  const holder = await readLock(path).catch(() => null);
  return holder === null ? null : maybeHolder(holder);
}

function standsInTheWay(path: string, why: string): UserError {
  return new UserError(
    `cannot lock this machine for measuring: ${path} stands in the way (${why}); remove it, or have its owner remove it`,
  );
}

/** @returns false when it is there already. */
async function create(path: string, content: string): Promise<boolean> {
  // Appears with its content: nobody ever reads half of it.
  const aside = `${path}-${process.pid}-${Math.trunc(performance.now() * 1000)}`;
  try {
    const file = await open(aside, 'wx', 0o644);
    try {
      await file.writeFile(content);
      await file.chmod(0o644); // whoever else measures has to read it, whatever this user's mask says
    } finally {
      await file.close();
    }
    await link(aside, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw explainSystemError(
      error,
      'lock this machine for measuring',
      `mend ${join(path, '..')}, or set TMPDIR`,
    );
  } finally {
    await unlink(aside).catch(() => {});
  }
}

async function release(path: string, content: string): Promise<void> {
  const held = await readLock(path).catch(() => null);
  if (held === content) await unlink(path).catch(() => {});
}

/**
 * What the lock says, without following links: in a folder for all users anybody could point it at anything.
 * @returns null when there is none
 * @throws UserError for what is no lock of ours
 */
async function readLock(path: string): Promise<string | null> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile()) throw standsInTheWay(path, 'it is no regular file');
    if (stats.size > mostBytes) throw standsInTheWay(path, 'it is no lock');
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return await file.readFile('utf8').finally(() => file.close());
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (hasCode(error, 'ENOENT')) return null;
    if (hasCode(error, 'EACCES', 'EPERM'))
      throw standsInTheWay(path, "it is another user's, who alone may read it");
    throw explainSystemError(error, `read ${path}`);
  }
}

/** When its process started, where the system says so: ids are given again. */
const lock = is.fields({ pid: is.wholeFrom(1), started: is.orMissing(is.orNull(is.anyText)) });

/**
 * null when the lock's process is gone, or its id belongs to another one by now.
 */
async function maybeHolder(content: string): Promise<number | null> {
  let holder: Checked<typeof lock>;
  try {
    holder = check(lock, parseJson(content, 'the lock'), 'the lock');
  } catch {
    return null;
  }
  const { pid, started = null } = holder;
  if (!isAlive(pid)) return null;
  const actual = await startOf(pid);
  const isSame = started === null || actual === null || actual === started;
  return isSame ? pid : null;
}

/**
 * Takes away what was judged stale, and puts back what somebody created meanwhile.
 * @throws UserError where the folder lets only its owner do so, as /tmp does
 */
async function removeStale(path: string, judged: string): Promise<void> {
  const aside = `${path}-stale-${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS'))
      throw standsInTheWay(path, "its process is gone, and it is another user's");
    throw explainSystemError(error, `remove the stale ${path}`);
  }
  if ((await readLock(aside).catch(() => null)) !== judged) await link(aside, path).catch(() => {});
  await unlink(aside).catch(() => {});
}

/** Clock ticks from boot to the start of a process, field 22 of /proc/PID/stat; null where the system does not say. */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
