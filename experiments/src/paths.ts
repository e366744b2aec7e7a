/** Where the project keeps things. All paths are absolute; `src/` and `dist/` lie equally deep. */

import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const experimentsDirectory = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** Installed from a packed tarball, whose workspaces lie in `node_modules/@specoffload`; else in a checkout. */
export const isInstalled = basename(dirname(experimentsDirectory)) === '@specoffload';

/** What ships: notebooks, pages, published numbers. */
export const projectDirectory = resolve(experimentsDirectory, isInstalled ? '../../..' : '..');

/**
 * What is written stays in the checkout, or where the user of an installed lab works: a folder of notebooks shares
 * results with the one above it, as notebooks themselves do (`../results`).
 */
const workDirectory = isInstalled
  ? resolve(basename(process.cwd()) === 'notebooks' ? '..' : '.')
  : projectDirectory;

const pairDirectory = join(experimentsDirectory, 'pair');

/** The trained pair that ships with the project. */
export const pairPaths = {
  target: join(pairDirectory, 'target'),
  draft: join(pairDirectory, 'draft'),
  workloads: join(pairDirectory, 'workloads'),
} as const;

/** Machine files that ship with the project, and parts that machines are put together from. */
export const machinesDirectory = join(experimentsDirectory, 'machines');

export const notebooksDirectory = join(projectDirectory, 'notebooks');

/** What papers published. */
export const publishedDirectory = join(projectDirectory, 'results', 'paper');

export const defaultResultsDirectory = join(workDirectory, 'results');

/** Inflated checkpoints; ignored by git. */
export const cacheDirectory = join(workDirectory, '.cache');

/** Where `profile` writes and others look for this machine's rates; ignored by git. */
export const localMachinePath = join(cacheDirectory, 'machine.json');

/** A path as people like to read it: relative to where they are, unless that would climb far. */
export function displayPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere === '' ? '.' : fromHere.startsWith('..') ? path : fromHere;
}
