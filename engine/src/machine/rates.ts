/** A machine's rates by their path, as sweeps vary them: `link.bytesPerSecond`, `device.arithmetic`, `device.hertz`, `memory.hostBytes`. */

import { UserError } from '@specoffload/input';
import { isTransfer, type LanePlace, localTopology, type Topology } from '../topology/topology.js';
import { type Limited, rateLimits } from './machine-constants.js';
import { type Lane, laneNamed, type MachineModel, withLane, withMemory } from './machine-model.js';
import { atFrequency } from './power.js';

type RateField = Exclude<
  Limited,
  | 'bytes'
  | 'reservedBytes'
  | 'sigma'
  | 'traffic'
  | 'secondsPerByte'
  | 'flopsPerSecond'
  | 'watts'
  | 'joulesPerOperation'
  | 'noise'
>;
type PowerField = 'idleWatts' | 'busyWatts';

const computeFields = [
  ...(['overheadSeconds', 'memoryBytesPerSecond', 'cacheBytesPerSecond', 'scoreFlopsPerSecond'] as const),
  ...(['secondsPerRow', 'latencySeconds', 'arithmetic'] as const),
];
const powerFields: readonly PowerField[] = ['idleWatts', 'busyWatts'];
const transferFields = ['overheadSeconds', 'bytesPerSecond'] as const;
const deviceTransferFields = [...transferFields, 'pageableBytesPerSecond', 'cacheBytesPerSecond'] as const;

function fieldsOf(lane: LanePlace): readonly (RateField | 'arithmetic')[] {
  if (!isTransfer(lane)) return computeFields;
  return lane.moves.to === 'device' ? deviceTransferFields : transferFields;
}

/** Where the machine says what it draws. */
function energyFieldsOf(lane: LanePlace): readonly (PowerField | 'hertz')[] {
  return isTransfer(lane) ? powerFields : [...powerFields, 'hertz'];
}

/** Every rate of a machine with these memories and lanes that {@link withRate} sets. */
export function ratesOf({ lanes, memories }: Topology): readonly string[] {
  return [
    ...lanes.flatMap((lane) => fieldsOf(lane).map((field) => `${lane.name}.${field}`)),
    ...memories.map(({ name }) => `memory.${name}Bytes`),
    ...lanes.map(({ name }) => `variability.${name}`),
    ...lanes.flatMap((lane) => energyFieldsOf(lane).map((field) => `${lane.name}.${field}`)),
  ];
}

/** The rates of machines with the usual lanes. */
export const machineRates = ratesOf(localTopology);

const usualNames = new Set(machineRates.map((rate) => rate.split('.')[0]));
const laneFields: ReadonlySet<string> = new Set([
  ...computeFields,
  ...deviceTransferFields,
  ...powerFields,
  'hertz',
]);

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
  if (field === 'hertz') return withLane(machine, part, atFrequency(laneNamed(machine, part), value));
  if (isPower(field)) return withLane(machine, part, drawing(laneNamed(machine, part), field, value));
  return withLane(machine, part, { [field]: field === 'arithmetic' ? [[1, value]] : value });
}

const isPower = (field: string): field is PowerField => powerFields.includes(field as PowerField);

function drawing({ name, power }: Lane, field: PowerField, watts: number): Pick<Lane, 'power'> {
  if (!power)
    throw new UserError(
      `invalid ${name}.${field}: ${watts}; the machine does not say what that lane draws: add "power" to the lane`,
    );
  return { power: { ...power, [field]: watts } };
}

function limitOf(part: string, field: string): Limited {
  if (part === 'memory') return 'bytes';
  if (part === 'variability') return 'sigma';
  if (isPower(field)) return 'watts';
  return field === 'arithmetic' ? 'flopsPerSecond' : (field as RateField);
}
