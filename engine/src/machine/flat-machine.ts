/**
 * A machine with a field for each lane, as records, keys and the first machine files have it. Machines of the four
 * lanes that those knew look as they did; what others have besides is named.
 */

import { isTransfer, type LaneName, localTopology, placeOf } from '../topology/topology.js';
import type { Budgets } from './budgets.js';
import type { Formats } from './formats.js';
import type {
  ComputeLane,
  ComputeRates,
  Lane,
  MachineModel,
  Memory,
  TransferLane,
  TransferRates,
} from './machine-model.js';

export interface FlatMachine {
  readonly name: string;
  readonly description: string;
  readonly disk: TransferRates;
  readonly link: TransferRates;
  readonly host: FlatComputeLane;
  readonly device: FlatComputeLane;
  readonly interruptsDraft: boolean;
  readonly variability: Readonly<Record<LaneName, number>>;
  readonly laneWidth: Readonly<Record<LaneName, number>>;
  readonly memory: FlatMemory;
  readonly formats: Formats;
  readonly measuredUnder?: Readonly<Record<string, number>>;
}

export type FlatComputeLane = ComputeRates & Pick<ComputeLane, 'kinds'>;

export interface FlatMemory extends Budgets {
  readonly diskBytes: number;
  readonly hasPageCache?: boolean;
}

/** The machine of the four lanes that these fields describe. */
export function unflattenMachine(flat: FlatMachine): MachineModel {
  const { name, description, formats, measuredUnder, variability, laneWidth, interruptsDraft, memory } = flat;
  const { deviceBytes, hostBytes, diskBytes, hasPageCache, ...cacheFactors } = memory;
  const lanes = localTopology.lanes.map((place) => {
    const conduct = { variability: variability[place.name], width: laneWidth[place.name] };
    const rates = flat[place.name as 'disk' | 'link' | 'host' | 'device'];
    return { ...place, ...conduct, ...rates, ...(isTransfer(place) ? {} : { interruptsDraft }) } as Lane;
  });
  return {
    ...{ name, description, formats, lanes },
    memories: [
      { name: 'disk', bytes: diskBytes },
      { name: 'host', bytes: hostBytes, ...(hasPageCache ? { hasPageCache } : {}) },
      { name: 'device', bytes: deviceBytes, ...cacheFactors },
    ],
    ...(measuredUnder ? { measuredUnder } : {}),
  };
}

/** The machine as records and keys have it: a field for each lane, and what all lanes have in fields by lane. */
export function flattenMachine({
  name,
  description,
  formats,
  measuredUnder,
  sheet,
  ...machine
}: MachineModel) {
  const { lanes, memories } = machine;
  const byLane = <Value>(pick: (lane: Lane) => Value) =>
    Object.fromEntries(lanes.map((lane) => [lane.name, pick(lane)]));
  const flat = {
    ...{ name, description, formats, ...byLane(ratesOf) },
    interruptsDraft: lanes.some((lane) => !isTransfer(lane) && lane.interruptsDraft),
    variability: byLane(({ variability }) => variability),
    laneWidth: byLane(({ width }) => width),
    memory: Object.assign({}, ...memories.map(flattenMemory)),
    ...(measuredUnder ? { measuredUnder } : {}),
    ...(sheet ? { sheet } : {}),
  };
  return flat as unknown as FlatMachine & Readonly<Record<LaneName, TransferRates | FlatComputeLane>>;
}

/** With what tells the lane from one of the four, where anything does. */
function ratesOf(lane: Lane): object {
  const isUsual = localTopology.lanes.some((usual) => placeOf(usual) === placeOf(lane));
  const { name: _name, variability: _variability, width: _width, ...placed } = lane;
  if (isTransfer<TransferLane, ComputeLane>(lane)) {
    const { moves, ...rates } = placed as TransferLane;
    return isUsual ? rates : { moves, ...rates };
  }
  const { computesOn, interruptsDraft: _interruptsDraft, ...rates } = placed as ComputeLane;
  return isUsual ? rates : { computesOn, ...rates };
}

function flattenMemory({ name, bytes, granularityBytes, idleWatts, ...others }: Memory): object {
  return {
    [`${name}Bytes`]: bytes,
    ...(granularityBytes === undefined ? {} : { [`${name}GranularityBytes`]: granularityBytes }),
    ...(idleWatts === undefined ? {} : { [`${name}IdleWatts`]: idleWatts }),
    ...others,
  };
}
