/** The flag that says which device computes. */

import type { Command } from 'commander';
import { deviceWords, parseDevice, usualDevice } from '../../inputs/devices.js';
import { asUsage } from '../../terminal/errors.js';

export interface DeviceOptions {
  readonly device: string;
}

export function addDeviceOption(command: Command): Command {
  return command.option(
    '--device <kind>',
    `what computes the device lane: ${deviceWords}`,
    (kind) => asUsage(() => parseDevice(kind)),
    usualDevice,
  );
}
