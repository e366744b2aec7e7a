/** The flag that says which device computes. */

import { type ArithmeticName, arithmetics } from '@specoffload/engine';
import type { Command } from 'commander';
import { deviceWords, parseDevice, usualDevice } from '../../inputs/devices.js';
import { asUsage } from '../../terminal/errors.js';
import { oneOf } from './common.js';

export interface DeviceOptions {
  readonly device: string;
  readonly arithmetic: ArithmeticName;
}

export const arithmeticHelp =
  "what a GPU's products are computed in: f32, or bf16, by cooperative matrices where it has them, with a wider bound";

export function addDeviceOption(command: Command): Command {
  return command
    .option(
      '--device <kind>',
      `what computes the device lane: ${deviceWords}`,
      (kind) => asUsage(() => parseDevice(kind)),
      usualDevice,
    )
    .option('--arithmetic <which>', arithmeticHelp, oneOf('--arithmetic', arithmetics), 'f32');
}
