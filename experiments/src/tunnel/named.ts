/** A tunnel by name or file, for sweeps: `tunnel:env1` is made on first use and kept in the cache. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '@specoffload/engine';
import { hasCode, writeWholeFile } from '@specoffload/input';
import { usualDevice } from '../inputs/devices.js';
import { cacheDirectory, localMachinePath, publishedDirectory } from '../paths.js';
import { unlessRefused } from '../terminal/errors.js';
import type { Output } from '../terminal/output.js';
import { createTunnel } from './create.js';
import { openTunnel, type Tunnel } from './tunnel-file.js';

/** What `specoffload tunnel --like NAME` does when nothing else is said. */
export const tunnelDefaults = {
  dataset: 'HumanEval',
  reference: publishedDirectory,
  target: 'pair:234MB',
  draft: 'pair:1bit',
  machine: localMachinePath,
  workload: 'dialogue',
  prompts: 16,
  device: usualDevice,
  cores: { device: 1, host: 1 },
  acceptance: null,
  newTokens: 16,
  seconds: 90,
  measures: true,
} as const;

/** Whether a machine is named that only a tunnel file or name can answer. */
export function isTunnelName(machine: string): boolean {
  return machine.startsWith('tunnel:');
}

/** Where named tunnels are kept, what they rest on, and how they are made. */
export interface TunnelKeeping {
  readonly directory: string;
  /** The machine file that `specoffload profile` writes. */
  readonly profile: string;
  readonly create: typeof createTunnel;
}

const usualKeeping: TunnelKeeping = {
  directory: cacheDirectory,
  profile: localMachinePath,
  create: createTunnel,
};

/**
 * @param which `tunnel:env1`, made anew when this machine has been measured since; or a file.
 * @throws UserError when there is none and none can be made.
 */
export async function openOrCreateTunnel(
  which: string,
  output: Output,
  signal: AbortSignal,
  { directory, profile, create }: TunnelKeeping = usualKeeping,
): Promise<Tunnel> {
  if (!isTunnelName(which)) return openTunnel(which);
  const like = which.slice('tunnel:'.length);
  if (!/^\w[\w.-]*$/.test(like))
    throw new UserError(
      `invalid machine: ${which}; expected tunnel: and a shipped machine, such as tunnel:env1`,
    );
  const path = join(directory, `tunnel-${like}.json`);
  const kept = (await timeOf(path)) > (await timeOf(profile)) ? await openKept(path) : null;
  if (kept) return kept;
  output.note(`tunnel: looking for a small run like ${like}`);
  const tunnel = await create({ ...tunnelDefaults, like }, output, signal);
  await writeWholeFile(path, `${JSON.stringify(tunnel, null, 2)}\n`);
  return tunnel;
}

/** @returns null for what another version of this program made, or what is damaged: it is made anew */
async function openKept(path: string): Promise<Tunnel | null> {
  const kept = await unlessRefused(() => openTunnel(path));
  // Before there were picks with packed weights, the same size of the target came to other layers.
  return kept?.planned.packed ? kept : null;
}

/** When a file was written, ms; 0 where there is none. */
async function timeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}
