/** Machines by name, by parts or by file: those of the paper ship with the project, this one's is measured by `profile`. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type MachineModel, parseMachineModel, readMachineFile } from '@specoffload/engine';
import { machinesDirectory } from '../paths.js';
import { composeMachine } from './machine-parts.js';

/**
 * @param which `env1`, `env2`, parts such as `rtx-4090+pcie4+ddr5-dual+nvme4`, or the path of a machine file (it
 * contains a slash or ends in .json).
 * @throws UserError when there is none, or it is incomplete.
 */
export async function openMachine(which: string): Promise<MachineModel> {
  const path = await maybeMachinePath(which);
  return path === null ? parseMachineModel(await composeMachine(which), which) : readMachineFile(path);
}

/** null for what is put together from parts. */
export async function maybeMachinePath(which: string): Promise<string | null> {
  if (which.includes('/') || which.endsWith('.json')) return which;
  const shipped = await shippedMachines();
  return shipped.includes(which) ? join(machinesDirectory, `${which}.json`) : null;
}

export async function shippedMachines(): Promise<string[]> {
  const files = await readdir(machinesDirectory);
  return files.flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : [])).sort();
}
