/** Crossbars: a memory that multiplies with the weights that are written into it, on a lane of its own. */

import { UserError } from '@specoffload/input';
import type { ComputeLane, Lane, MachineModel, Memory } from './machine-model.js';

/** What both the memory and the lane are called. */
export const crossbarMemory = 'crossbars';

/** What only this kind of memory has. */
export interface CrossbarFacts {
  /** However it is stored elsewhere. */
  readonly bytesPerWeight: number;
  readonly writeBytesPerSecond: number;
  /** @default nobody says, and energy counts without it */
  readonly writeJoulesPerByte?: number | undefined;
  /** Of a multiplication, and of an addition. @default likewise */
  readonly joulesPerOperation?: number | undefined;
  /** Standard deviation of an output over the root of its mean square. @default nobody says */
  readonly noise?: number | undefined;
}

/** As a machine file has them. */
export interface Crossbars extends CrossbarFacts, Pick<Memory, 'bytes'> {
  readonly idleWatts?: number | undefined;
  /** One row through one matrix: all of its crossbars work at once. */
  readonly productSeconds: number;
  /** @default in the time of a product */
  readonly activationBytesPerSecond?: number | undefined;
}

/** Undefined where the machine has none, or does not say. */
export function crossbarNoise({ memories }: MachineModel): number | undefined {
  return memories.find(({ crossbars }) => crossbars)?.crossbars?.noise;
}

/** Never what decides: a product takes its time by the row. */
const unlimited = 1e300;

/**
 * The machine with a memory and a lane for them. Products of a row through matrices that do not need each other's results
 * take one product's time; an FFN takes two, one after the other.
 * @throws UserError when there is a memory or a lane of that name already
 */
export function withCrossbars(
  machine: MachineModel,
  { bytes, idleWatts, productSeconds, activationBytesPerSecond = unlimited, ...facts }: Crossbars,
  source: string,
): MachineModel {
  for (const { name } of [...machine.memories, ...machine.lanes])
    if (name === crossbarMemory)
      throw new UserError(
        `${source}: with the field crossbars a memory and a lane have the name ${name}; give the other one another name`,
      );
  const isDevice = (lane: Lane): lane is ComputeLane => 'computesOn' in lane && lane.computesOn === 'device';
  const device = machine.lanes.find(isDevice);
  // A draft among crossbars attends to its cache, which stays on the device, as fast as that does.
  const attention = {
    scoreFlopsPerSecond: device?.scoreFlopsPerSecond ?? unlimited,
    cacheBytesPerSecond: device?.cacheBytesPerSecond ?? unlimited,
    ...(device?.cacheTraffic && { cacheTraffic: device.cacheTraffic }),
  };
  const lane: ComputeLane = {
    ...{ name: crossbarMemory, computesOn: crossbarMemory, variability: 0, width: 1, interruptsDraft: false },
    ...{ overheadSeconds: 0, latencySeconds: 0, secondsPerRow: productSeconds, ...attention },
    ...{ arithmetic: [[1, unlimited]], memoryBytesPerSecond: activationBytesPerSecond },
    kinds: {
      expert: { secondsPerRow: 0, overheadSeconds: 2 * productSeconds },
      draft: { secondsPerRow: 0, overheadSeconds: productSeconds },
    },
  };
  const memory = {
    ...{ name: crossbarMemory, bytes, crossbars: facts },
    ...(idleWatts === undefined ? {} : { idleWatts }),
  };
  return { ...machine, memories: [...machine.memories, memory], lanes: [...machine.lanes, lane] };
}
