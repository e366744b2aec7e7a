/** The flags of `run` that disturb products, as crossbars do. */

import { crossbarNoise, noisyGroups, type ProductNoise } from '@specoffload/engine';
import { parseNumber, UserError } from '@specoffload/input';
import type { Command } from 'commander';
import { openMachine } from '../../inputs/machines.js';
import { UsageError } from '../../terminal/errors.js';
import { oneOf } from './common.js';

export interface NoiseOptions {
  readonly productNoise?: string;
  readonly noisyGroups?: ProductNoise['groups'];
}

export function addNoiseOptions(command: Command): Command {
  return command
    .option(
      '--product-noise <size>',
      "add noise to the processor's products, as crossbars have it, and run once more without: its standard deviation over the size of an output, such as 0.02, or a machine whose crossbars say it",
    )
    .option(
      '--noisy-groups <which>',
      `with it: whose products; ${noisyGroups.join(', ')} (default: layers, all of the target's)`,
      oneOf('--noisy-groups', noisyGroups),
    );
}

/** @throws UsageError or UserError naming the flag */
export async function readNoise({ productNoise, noisyGroups: groups = 'layers' }: NoiseOptions) {
  if (productNoise === undefined) return {};
  const size = parseNumber(productNoise);
  if (size !== null || productNoise.trim() === '') {
    if (size !== null && size >= 0 && size <= 1) return { productNoise: { size, groups } };
    throw new UsageError(
      `invalid --product-noise: ${productNoise}; expected a number from 0 to 1, or a machine`,
    );
  }
  const noise = crossbarNoise(await openMachine(productNoise));
  if (noise === undefined)
    throw new UserError(
      `invalid --product-noise: ${productNoise}; that machine does not say what noise its crossbars have, expected one whose file does, or a number from 0 to 1`,
    );
  return { productNoise: { size: noise, groups } };
}
