/** Where the project keeps things. All paths are absolute; `src/` and `dist/` lie equally deep. */

import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectDirectory = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

const pairDirectory = join(projectDirectory, 'experiments', 'pair');

/** The trained pair that ships with the project. */
export const pairPaths = {
  target: join(pairDirectory, 'target'),
  draft: join(pairDirectory, 'draft'),
  workloads: join(pairDirectory, 'workloads'),
} as const;

/** Machine files that ship with the project, and parts that machines are put together from. */
export const machinesDirectory = join(projectDirectory, 'experiments', 'machines');

export const defaultResultsDirectory = join(projectDirectory, 'results');

/** Inflated checkpoints; ignored by git. */
export const cacheDirectory = join(projectDirectory, '.cache');

/** Where `profile` writes and others look for this machine's rates; ignored by git. */
export const localMachinePath = join(cacheDirectory, 'machine.json');

/** A path as people like to read it: relative to where they are, unless that would climb far. */
export function displayPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere === '' ? '.' : fromHere.startsWith('..') ? path : fromHere;
}
