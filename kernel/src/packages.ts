/** Where this package and those it brings along lie. All paths are absolute; `src/` and `dist/` lie equally deep. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const kernelDirectory = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** The command that brings back what is missing here. */
export const repairCommand =
  basename(dirname(kernelDirectory)) === '@specoffload' ? 'npm rebuild -g specoffload-lab' : 'npm run setup';

/** The script that Jupyter and the runner start: `node kernel.js CONNECTION_FILE`. */
export const kernelScript = join(kernelDirectory, 'bin', 'kernel.js');

export const requireFromKernel = createRequire(join(kernelDirectory, 'package.json'));

/** The `node_modules` that holds tslab, danfojs, mathjs and the links to the workspaces. */
export function findPackagesDirectory(): string {
  return resolve(dirname(requireFromKernel.resolve('tslab/package.json')), '..');
}

export function readKernelVersion(): string {
  return readVersion(join(kernelDirectory, 'package.json'));
}

export function readTslabVersion(): string {
  return readVersion(requireFromKernel.resolve('tslab/package.json'));
}

function readVersion(path: string): string {
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

const workspaces = join(kernelDirectory, '..').replaceAll(sep, '/');

/** The rest of a path, with slashes, into the folder of the lab's packages; empty for any other. */
export function afterWorkspaces(path: string): string {
  return path.startsWith(`${workspaces}/`) ? path.slice(workspaces.length) : '';
}

/** Such files do not change under a running kernel. */
export function isPackageFile(path: string): boolean {
  return path.includes('/node_modules/') || afterWorkspaces(path).includes('/dist/');
}
