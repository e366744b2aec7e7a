/** Where the kernel's snapshot lies: a heap with TypeScript loaded, and the declarations of packages read. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { kernelDirectory, kernelScript, requireFromKernel } from '../packages.js';
import { entryTemplate } from './entry.js';

export const snapshotFlag = '--snapshot-blob';

/**
 * Most of what a kernel does is done a few times: to optimise it takes longer than to do it, in notebooks a fifth to a
 * quarter of the processor's time. What is done often is optimised all the same, some milliseconds later. Later lines of
 * Node know no budget of this name.
 */
export const lateOptimisation = process.versions.node.startsWith('20.') ? ['--interrupt-budget=1000000'] : [];

/**
 * V8's, of a kernel that starts from the snapshot, which can only be read with those that it was made with. Beside the
 * heap that it starts with, V8 otherwise collects what is not there yet: a sixth of what the start takes.
 */
const heapFlags = process.versions.node.startsWith('20.') ? ['--initial-old-space-size=400'] : [];
export const snapshotFlags = [...lateOptimisation, ...heapFlags];
export const snapshotFolder = join(kernelDirectory, 'dist', 'snapshots');

/** Behind the connection file: start without it, where it was tried in vain. */
const withoutSnapshot = '--without-snapshot';

/** For this Node in its present settings, which alone can read it, and for the TypeScript that is installed. */
export function snapshotPath(): string {
  return join(snapshotFolder, `${namePrefix()}${cachedDataVersionTag().toString(16)}.blob`);
}

/** Of the snapshots of this Node and this TypeScript, whatever V8's settings. */
function namePrefix(): string {
  const typescript = requireFromKernel.resolve('@tslab/typescript-for-tslab');
  const { size, mtimeMs } = statSync(typescript);
  const facts = [process.arch, typescript, size, mtimeMs, entryTemplate, snapshotFlags];
  const digest = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  return `${process.version}-${digest}-`;
}

/** The program and its arguments; `{connection_file}` is to be replaced. */
export function kernelCommand(isQuick: boolean): string[] {
  const command = [process.execPath, ...(isQuick ? snapshotArguments(pathForChild) : []), kernelScript];
  return [...command, '{connection_file}', ...(isQuick ? [] : [withoutSnapshot])];
}

/** In a kernel that Jupyter has started: becomes one that was started from the snapshot, where Node knows how. */
export function startFromSnapshot(): void {
  const { execve, execPath, execArgv, argv, env } = process as NodeJS.Process & {
    execve?: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never;
  };
  const at = execArgv.indexOf(snapshotFlag);
  // What cells start has a heap of its own.
  if (at >= 0) {
    execArgv.splice(at, 2);
    for (const flag of snapshotFlags.filter((flag) => execArgv.includes(flag)))
      execArgv.splice(execArgv.indexOf(flag), 1);
  } else if (execve !== undefined && !argv.includes(withoutSnapshot)) {
    const flags = snapshotArguments(snapshotPath);
    if (flags.length > 0) execve(execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], env);
  }
}

/** Nothing where there is no snapshot: kernels start all the same, three times as slowly. */
function snapshotArguments(pathOf: () => string): string[] {
  try {
    const path = pathOf();
    return existsSync(path) ? [...snapshotFlags, snapshotFlag, path] : [];
  } catch {
    return [];
  }
}

/** A child is given none of the flags that this process was started with: its settings are those of set-up. */
function pathForChild(): string {
  const path = snapshotPath();
  if (process.execArgv.length === 0 || existsSync(path)) return path;
  const prefix = namePrefix();
  const name = readdirSync(snapshotFolder).find((other) => other.startsWith(prefix));
  return name === undefined ? path : join(snapshotFolder, name);
}
