/** How many threads a lane may have here. */

import { availableParallelism } from 'node:os';
import { UserError } from '@specoffload/engine';
import { plural } from '../terminal/format.js';

/**
 * More threads than cores only get in each other's way: nothing measured so would mean anything.
 * @throws UserError naming flag or setting
 */
export function assertCores(name: string, cores: number): void {
  const here = availableParallelism();
  if (cores > here)
    throw new UserError(
      `invalid ${name}: ${cores}; this machine has ${plural(here, 'core')}, so expected ${here === 1 ? '1' : `1 to ${here}`}`,
    );
}

/** Whether the device lane is computed by the processor's cores. */
export function hasCores(device: string): boolean {
  return !device.startsWith('vulkan');
}

/** @throws UserError naming the first flag or setting that says what nobody looks at */
export function assertDeviceCores(
  device: string,
  given: readonly (readonly [name: string, cores: number | undefined])[],
): void {
  const said = given.find(([, cores]) => cores !== undefined);
  if (said && !hasCores(device))
    throw new UserError(
      `invalid ${said[0]}: ${said[1]}; ${device} computes on the card and on none of the processor's cores: leave it out, or choose the device cpu`,
    );
}
