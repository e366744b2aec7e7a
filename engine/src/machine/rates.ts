/** A machine's rates by their path, as sweeps vary them: `link.bytesPerSecond`, `device.arithmetic`. */

import { UserError } from '@specoffload/input';
import { laneNames } from '../trace/lanes.js';
import { rateLimits } from './machine-file.js';
import type { MachineModel } from './machine-model.js';

const compute = [
  ...['overheadSeconds', 'memoryBytesPerSecond', 'cacheBytesPerSecond', 'scoreFlopsPerSecond'],
  ...['secondsPerRow', 'latencySeconds', 'arithmetic'],
] as const;

const fieldsOf = {
  disk: ['overheadSeconds', 'bytesPerSecond'],
  link: ['overheadSeconds', 'bytesPerSecond', 'pageableBytesPerSecond', 'cacheBytesPerSecond'],
  host: compute,
  device: compute,
  memory: ['deviceBytes', 'hostBytes', 'diskBytes'],
  variability: laneNames,
} as const;

/** Every rate that {@link withRate} sets. */
export const machineRates: readonly string[] = Object.entries(fieldsOf).flatMap(([part, fields]) =>
  fields.map((field) => `${part}.${field}`),
);

export function isRateOfMachine(path: string): boolean {
  return machineRates.includes(path);
}

/**
 * The machine with one rate replaced. `arithmetic` becomes one rate for any number of rows; what the machine file says
 * of single kinds of task stays.
 * @throws UserError when there is no such rate, or nothing that exists is so fast or so slow.
 */
export function withRate(machine: MachineModel, path: string, value: number): MachineModel {
  if (!isRateOfMachine(path))
    throw new UserError(`unknown rate of a machine: ${path}; expected one of ${machineRates.join(', ')}`);
  const [part, field] = path.split('.') as [keyof typeof fieldsOf, string];
  const [least, most] = rateLimits[limitOf(part, field)];
  if (!(least <= value && value <= most))
    throw new UserError(`invalid ${path}: ${value}; expected a number from ${least} to ${most}`);
  const changed = field === 'arithmetic' ? [[1, value]] : value;
  return { ...machine, [part]: { ...machine[part], [field]: changed } };
}

function limitOf(part: keyof typeof fieldsOf, field: string): keyof typeof rateLimits {
  if (part === 'memory') return 'bytes';
  if (part === 'variability') return 'sigma';
  return field === 'arithmetic' ? 'flopsPerSecond' : (field as keyof typeof rateLimits);
}
