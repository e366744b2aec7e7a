/** The kinds of devices: a new one is a file, and a line here. */

import { UserError } from '@specoffload/input';
import { cpuDriver } from './cpu-device.js';
import type { Device, DeviceDriver, DeviceOptions, DeviceQueue, QueueHandle } from './device.js';
import type { Formats } from './formats.js';
import { isolatedDriver } from './isolated-device.js';

const drivers: Readonly<Record<string, DeviceDriver>> = {
  cpu: cpuDriver,
  isolated: isolatedDriver,
};

export const deviceKinds: readonly string[] = Object.keys(drivers);

export interface DeviceChoice {
  /** One of {@link deviceKinds}. */
  readonly kind: string;
  /** Of a device that behaves differently each time, to make it behave the same. @default 0 */
  readonly seed?: number;
}

const defaultChoice: DeviceChoice = { kind: 'cpu' };

/** How wide numbers are on a kind of device: what a plan has to be laid out for. */
export function formatsOf({ kind } = defaultChoice): Formats {
  return driverOf(kind).formats;
}

/** Takes the device's memory. */
export async function openDevice(
  { kind, seed = 0 } = defaultChoice,
  options: Omit<DeviceOptions, 'seed'>,
): Promise<Device> {
  const driver = driverOf(kind);
  if (options.formats !== driver.formats)
    throw new Error(`the plan is not laid out for the numbers of the ${kind} device`);
  return driver.open({ ...options, seed });
}

/** A queue that was handed over, in the thread that submits to it. */
export function connectQueue(handle: QueueHandle): Promise<DeviceQueue> {
  return driverOf(handle.kind).connect(handle);
}

/** @throws UserError when there is no such kind. */
function driverOf(kind: string): DeviceDriver {
  if (Object.hasOwn(drivers, kind)) return drivers[kind];
  throw new UserError(`invalid device: ${kind}; expected ${deviceKinds.join(' or ')}`);
}
