/** The kernelspec: a folder that tells Jupyter how to start this kernel. Written, found, taken away. */

import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isRecord, maybeReadTextSync, parseJson, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { saveFile } from '../notebook/save.js';
import { kernelDirectory, kernelScript, readKernelVersion } from '../packages.js';
import { installExtension, uninstallExtension } from './labextension.js';
import {
  dataDirectories,
  findSysPrefix,
  ownSurroundings,
  prefixDataDirectory,
  type Surroundings,
  userDataDirectory,
} from './places.js';

export const defaultKernelName = 'specoffload';
export const kernelDisplayName = 'SpecOffload Lab (TypeScript)';

/** Where a kernelspec goes: for this user (the default), into the active Python environment, or below a folder. */
export interface KernelPlace {
  readonly name?: string;
  readonly sysPrefix?: boolean;
  readonly prefix?: string;
}

export interface InstalledKernel {
  readonly directory: string;
  readonly name: string;
  /** The script that it starts; null when it is not one of ours. */
  readonly script: string | null;
}

/** @returns the folder that was written. */
export async function installKernel(
  place: KernelPlace = {},
  surroundings: Surroundings = ownSurroundings,
): Promise<string> {
  const directory = await kernelDirectoryOf(place, surroundings);
  const found = readKernel(directory, nameOf(place));
  if (found !== null && found.script === null)
    throw new NotebookError(
      `${directory} holds another kernel; choose another --name, or take it away first`,
    );
  try {
    await mkdir(directory, { recursive: true });
    for (const logo of ['logo-64x64.png', 'logo-svg.svg'])
      await copyFile(join(kernelDirectory, 'assets', logo), join(directory, logo));
    await installExtension(dataOf(directory));
  } catch (error) {
    throw new NotebookError(`cannot write ${directory}: ${reasonOf(error)}`);
  }
  await saveFile(join(directory, 'kernel.json'), `${JSON.stringify(createKernelspec(), null, 2)}\n`);
  return directory;
}

/** @returns the folder that was taken away. */
export async function uninstallKernel(
  place: KernelPlace = {},
  surroundings: Surroundings = ownSurroundings,
): Promise<string> {
  const directory = await kernelDirectoryOf(place, surroundings);
  const found = readKernel(directory, nameOf(place));
  if (found === null) throw new NotebookError(`no kernel is installed in ${directory}`);
  if (found.script === null) throw new NotebookError(`${directory} holds another kernel, which stays`);
  try {
    await rm(directory, { recursive: true });
    if (!(await isOursIn(dataOf(directory)))) await uninstallExtension(dataOf(directory));
  } catch (error) {
    throw new NotebookError(`cannot remove ${directory}: ${reasonOf(error)}`);
  }
  return directory;
}

/** The kernel that Jupyter would start under this name. */
export function findKernel(
  name: string = defaultKernelName,
  surroundings: Surroundings = ownSurroundings,
): InstalledKernel | null {
  for (const data of dataDirectories(surroundings)) {
    const found = readKernel(join(data, 'kernels', name), name);
    if (found !== null) return found;
  }
  return null;
}

/** Jupyter's folder with `kernels` in it. */
function dataOf(directory: string): string {
  return dirname(dirname(directory));
}

async function isOursIn(data: string): Promise<boolean> {
  const names = await readdir(join(data, 'kernels'));
  return names.some((name) => (readKernel(join(data, 'kernels', name), name)?.script ?? null) !== null);
}

function createKernelspec(): JsonObject {
  return {
    argv: [process.execPath, kernelScript, '{connection_file}'],
    display_name: kernelDisplayName,
    language: 'typescript',
    // Both would do; a signal also reaches the programs that a cell has started.
    interrupt_mode: 'signal',
    metadata: { debugger: false, specoffload: { version: readKernelVersion() } },
  };
}

async function kernelDirectoryOf(place: KernelPlace, surroundings: Surroundings): Promise<string> {
  const { prefix, sysPrefix } = place;
  const data =
    prefix !== undefined
      ? prefixDataDirectory(prefix)
      : sysPrefix === true
        ? prefixDataDirectory(await findSysPrefix(surroundings))
        : userDataDirectory(surroundings);
  return join(data, 'kernels', nameOf(place));
}

function nameOf({ name = defaultKernelName }: KernelPlace): string {
  if (!/^[A-Za-z0-9._-]+$/.test(name) || /^\.+$/.test(name))
    throw new NotebookError(
      `invalid kernel name: ${name}; expected letters, digits, dots, hyphens and underscores`,
    );
  return name;
}

function readKernel(directory: string, name: string): InstalledKernel | null {
  const path = join(directory, 'kernel.json');
  if (!existsSync(path)) return null;
  const script = readScript(path);
  return { directory, name, script };
}

const mostBytes = 1 << 20;

/** Null for a kernelspec that this package has not written. */
function readScript(path: string): string | null {
  try {
    const spec = parseJson(maybeReadTextSync(path, mostBytes) ?? '', path);
    const isOurs = isRecord(spec) && isRecord(spec.metadata) && isRecord(spec.metadata.specoffload);
    return isOurs && Array.isArray(spec.argv) && typeof spec.argv[1] === 'string' ? spec.argv[1] : null;
  } catch {
    return null;
  }
}
