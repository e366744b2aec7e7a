/** Machines by name or file: those of the paper ship with the project, this one's is measured by `profile`. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type MachineModel, readMachineFile, UserError } from '@specoffload/engine';
import { projectDirectory } from '../paths.js';

export const machinesDirectory = join(projectDirectory, 'experiments', 'machines');

/**
 * @param nameOrPath `env1`, `env2`, or the path of a machine file (it contains a slash or ends in .json).
 * @throws UserError when there is none, or it is incomplete.
 */
export async function openMachine(nameOrPath: string): Promise<MachineModel> {
  if (nameOrPath.includes('/') || nameOrPath.endsWith('.json')) return readMachineFile(nameOrPath);
  const shipped = await shippedMachines();
  if (shipped.includes(nameOrPath)) return readMachineFile(join(machinesDirectory, `${nameOrPath}.json`));
  throw new UserError(
    `unknown machine: ${nameOrPath}; expected ${shipped.join(', ')}, or the path of a machine file made by specoffload profile`,
  );
}

export async function shippedMachines(): Promise<string[]> {
  const files = await readdir(machinesDirectory);
  return files.flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : [])).sort();
}
