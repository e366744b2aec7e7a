/** What it takes to work in a notebook: is it here, and if not, what brings it. */

import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { reasonOf } from '@specoffload/input';
import {
  kernelDirectory,
  kernelScript,
  readTslabVersion,
  repairCommand,
  requireFromKernel,
} from '../packages.js';
import { KernelSession } from '../wire/session.js';
import { defaultKernelName, findKernel } from './kernelspec.js';
import { ownSurroundings, type Surroundings } from './places.js';

export interface CheckItem {
  readonly name: string;
  readonly isFine: boolean;
  /** What was found, or what is wrong. */
  readonly finding: string;
  /** The command that mends it; null when there is nothing to mend. */
  readonly remedy: string | null;
}

/** In the order in which one depends on the other. */
export async function checkKernel(
  name: string = defaultKernelName,
  surroundings: Surroundings = ownSurroundings,
): Promise<CheckItem[]> {
  return [
    checkCompiled(),
    await tryOut('tslab', loadTslab, repairCommand),
    await tryOut('zeromq', loadZeroMq, repairCommand),
    await tryOut('kernel', startOnce, repairCommand),
    checkKernelspec(name, surroundings),
    checkJupyter(surroundings),
  ];
}

function checkCompiled(): CheckItem {
  const isFine = existsSync(join(kernelDirectory, 'dist', 'server', 'start.js'));
  return {
    name: 'compiled',
    isFine,
    finding: isFine ? kernelScript : 'the kernel is not compiled',
    remedy: isFine ? null : repairCommand,
  };
}

async function tryOut(name: string, attempt: () => Promise<string>, remedy: string): Promise<CheckItem> {
  try {
    return { name, isFine: true, finding: await attempt(), remedy: null };
  } catch (error) {
    return { name, isFine: false, finding: reasonOf(error), remedy };
  }
}

async function loadTslab(): Promise<string> {
  requireFromKernel('tslab/dist/executor.js');
  return `tslab ${readTslabVersion()}`;
}

async function loadZeroMq(): Promise<string> {
  const { version } = await import('zeromq');
  return `ZeroMQ ${version}`;
}

async function startOnce(): Promise<string> {
  const startMs = performance.now();
  const session = await KernelSession.start({ cwd: process.cwd() });
  try {
    const { status } = await session.execute('1 + 1');
    if (status !== 'ok') throw new Error(`1 + 1 ended with status ${status}`);
    return `first result after ${((performance.now() - startMs) / 1000).toFixed(1)} s`;
  } finally {
    await session.shutdown();
  }
}

export function checkKernelspec(name: string, surroundings: Surroundings): CheckItem {
  const found = findKernel(name, surroundings);
  const remedy = 'specoffload notebook install';
  const item = (finding: string, isFine = false): CheckItem => ({
    name: 'kernelspec',
    isFine,
    finding,
    remedy: isFine ? null : remedy,
  });
  if (found === null) return item(`no kernel named ${name} is installed`);
  if (found.script === null) return item(`${found.directory} holds another kernel`);
  if (!existsSync(found.script)) return item(`${found.directory} starts ${found.script}, which is gone`);
  if (found.script !== kernelScript) return item(`${found.directory} starts another copy: ${found.script}`);
  return item(found.directory, true);
}

function checkJupyter({ env, platform }: Surroundings): CheckItem {
  const names = platform === 'win32' ? ['jupyter.exe'] : ['jupyter'];
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const path = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
  return {
    name: 'jupyter',
    isFine: path !== undefined,
    finding: path ?? 'no jupyter on the PATH (`notebook run` does without)',
    remedy: path === undefined ? 'pip install notebook (or your editor: VS Code brings its own)' : null,
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
