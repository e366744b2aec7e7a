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
