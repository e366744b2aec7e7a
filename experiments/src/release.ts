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
  const commit = await askGit(checkout, 'rev-parse', 'HEAD');
  const changes =
    commit === null ? null : await askGit(checkout, 'status', '--porcelain', '--untracked-files=no');
  return { version, commit, dirty: changes === null ? null : changes !== '' };
}

/** Null where git or the checkout is missing. */
async function askGit(cwd: string, ...args: readonly string[]): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', ['--no-optional-locks', ...args], { cwd });
    return stdout.trim();
  } catch {
    return null;
  }
}
