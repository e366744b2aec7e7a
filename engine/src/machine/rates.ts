/** A machine's rates by their path, as sweeps vary them: `link.bytesPerSecond`, `device.arithmetic`, `memory.hostBytes`. */

import { UserError } from '@specoffload/input';
import { isTransfer, type LanePlace, localTopology, type Topology } from '../topology/topology.js';
import { type Limited, rateLimits } from './machine-constants.js';
import { type MachineModel, withLane, withMemory } from './machine-model.js';

type RateField = Exclude<Limited, 'bytes' | 'reservedBytes' | 'sigma' | 'traffic' | 'flopsPerSecond'>;

const computeFields = [
  ...(['overheadSeconds', 'memoryBytesPerSecond', 'cacheBytesPerSecond', 'scoreFlopsPerSecond'] as const),
  ...(['secondsPerRow', 'latencySeconds', 'arithmetic'] as const),
];
const transferFields = ['overheadSeconds', 'bytesPerSecond'] as const;
const deviceTransferFields = [...transferFields, 'pageableBytesPerSecond', 'cacheBytesPerSecond'] as const;

function fieldsOf(lane: LanePlace): readonly (RateField | 'arithmetic')[] {
  if (!isTransfer(lane)) return computeFields;
  return lane.moves.to === 'device' ? deviceTransferFields : transferFields;
}

/** Every rate of a machine with these memories and lanes that {@link withRate} sets. */
export function ratesOf({ lanes, memories }: Topology): readonly string[] {
  return [
    ...lanes.flatMap((lane) => fieldsOf(lane).map((field) => `${lane.name}.${field}`)),
    ...memories.map(({ name }) => `memory.${name}Bytes`),
    ...lanes.map(({ name }) => `variability.${name}`),
  ];
}

/** The rates of machines with the usual lanes. */
export const machineRates = ratesOf(localTopology);

const usualNames = new Set(machineRates.map((rate) => rate.split('.')[0]));
const laneFields: ReadonlySet<string> = new Set([...computeFields, ...deviceTransferFields]);

/** Whether some machine may have it: of lanes and memories with other names, only the machine itself knows. */
export function isRateOfMachine(path: string): boolean {
  if (machineRates.includes(path)) return true;
  const [part = '', field = '', ...rest] = path.split('.');
  if (rest.length > 0 || part === '') return false;
  if (part === 'memory') return /^.+Bytes$/.test(field);
  return part === 'variability' ? field !== '' : !usualNames.has(part) && laneFields.has(field);
}

/**
 * The machine with one rate replaced. `arithmetic` becomes one rate for any number of rows; what the machine file says
 * of single kinds of task stays.
 * @throws UserError when there is no such rate, or nothing that exists is so fast or so slow.
 */
export function withRate(machine: MachineModel, path: string, value: number): MachineModel {
  const known = ratesOf(machine);
  if (!known.includes(path))
    throw new UserError(`unknown rate of a machine: ${path}; expected one of ${known.join(', ')}`);
  const [part, field] = path.split('.') as [string, string];
  const [least, most] = rateLimits[limitOf(part, field)];
  if (!(least <= value && value <= most))
    throw new UserError(`invalid ${path}: ${value}; expected a number from ${least} to ${most}`);
  if (part === 'memory') return withMemory(machine, field.replace(/Bytes$/, ''), { bytes: value });
  if (part === 'variability') return withLane(machine, field, { variability: value });
  return withLane(machine, part, { [field]: field === 'arithmetic' ? [[1, value]] : value });
}

function limitOf(part: string, field: string): Limited {
  if (part === 'memory') return 'bytes';
  if (part === 'variability') return 'sigma';
  return field === 'arithmetic' ? 'flopsPerSecond' : (field as RateField);
}
