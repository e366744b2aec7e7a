/** Which lab this is: its version, and the commit it was made from. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isInstalled, projectDirectory } from './paths.js';

export interface Release {
  readonly version: string;
  /** Null where nobody knows it. */
  readonly commit: string | null;
  /** Whether tracked files differed from the commit. */
  readonly dirty: boolean | null;
}

/** What `npm run pack` leaves in package.json. */
interface Packed {
  readonly version: string;
  readonly packedFrom?: { readonly commit: string | null; readonly dirty: boolean | null };
}

/** @param checkout whose code runs, where it is not installed */
export async function readRelease(checkout: string = projectDirectory): Promise<Release> {
  const path = join(projectDirectory, 'package.json');
  const { version, packedFrom } = JSON.parse(await readFile(path, 'utf8')) as Packed;
  // An installed lab lies in somebody else's repository, if in any.
  if (isInstalled) return { version, commit: null, dirty: null, ...packedFrom };
  return { version, ...(await askGit(checkout)) };
}

/**
 * Nulls where git or the checkout is missing. It is asked once, though it might be twice: to start a program takes a large
 * process longer than git needs.
 */
async function askGit(cwd: string): Promise<Pick<Release, 'commit' | 'dirty'>> {
  const status = ['status', '--porcelain=v2', '--branch', '--no-ahead-behind', '--untracked-files=no'];
  try {
    const { stdout } = await promisify(execFile)('git', ['--no-optional-locks', ...status], {
      ...{ cwd, maxBuffer: Number.POSITIVE_INFINITY },
    });
    const lines = stdout.trim().split('\n');
    // Before the first commit it says that this is the initial one.
    const commit =
      lines.map((line) => /^# branch\.oid ([0-9a-f]{40,})$/.exec(line)?.[1]).find(Boolean) ?? null;
    return { commit, dirty: commit === null ? null : lines.some((line) => !line.startsWith('#')) };
  } catch {
    return { commit: null, dirty: null };
  }
}
