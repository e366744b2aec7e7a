/**
 * Which memories a machine has, and which lanes move data between them or compute on them. A schedule asks for three
 * memories by name: `disk`, where weights rest, `host`, and `device`, where layers are computed. The rest is data.
 */

import { UserError } from '@specoffload/input';
import type { LaneName, TaskKind } from '../trace/types.js';

export type MemoryName = string;

export interface Move {
  readonly from: MemoryName;
  readonly to: MemoryName;
}

interface AnyLane {
  readonly name: LaneName;
  /** Kinds of task that go to this lane before any other one that could do them. @default none of its own */
  readonly serves?: readonly TaskKind[];
}

/** Moves data. It serves the opposite direction too, unless another lane does. */
export interface TransferPlace extends AnyLane {
  readonly moves: Move;
}

export interface ComputePlace extends AnyLane {
  readonly computesOn: MemoryName;
}

export type LanePlace = TransferPlace | ComputePlace;

export interface Topology {
  readonly memories: readonly { readonly name: MemoryName }[];
  /** In the order in which reports name them. */
  readonly lanes: readonly LanePlace[];
}

/** What the local machine is, and most machine files describe. */
export const localTopology: Topology = {
  memories: [{ name: 'disk' }, { name: 'host' }, { name: 'device' }],
  lanes: [
    { name: 'disk', moves: { from: 'disk', to: 'host' } },
    { name: 'link', moves: { from: 'host', to: 'device' } },
    { name: 'host', computesOn: 'host' },
    { name: 'device', computesOn: 'device' },
  ],
};

export function isTransfer<Transfer extends TransferPlace, Compute extends ComputePlace>(
  lane: Transfer | Compute,
): lane is Transfer {
  return 'moves' in lane;
}

/** One lane's part of a way: what is moved rests in `to` until the next hop takes it on. */
export interface Hop {
  readonly lane: LaneName;
  readonly to: MemoryName;
}

/** Which lane does what, found once for a topology. */
export class Routes {
  readonly #topology: Topology;
  readonly #computing = new Map<MemoryName, Map<TaskKind, LaneName>>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** @throws UserError when no lane computes on that memory, or none that does takes this kind of task */
  computing(kind: TaskKind, memory: MemoryName): LaneName {
    const byKind = this.#computing.get(memory) ?? new Map<TaskKind, LaneName>();
    const known = byKind.get(kind);
    if (known !== undefined) return known;
    const lanes = this.#topology.lanes.filter((lane) => !isTransfer(lane) && lane.computesOn === memory);
    const lane = pick(lanes, kind);
    if (!lane)
      throw new UserError(
        `no lane computes ${kind} on the memory ${memory}; add one with "computesOn": "${memory}" to the machine's lanes`,
      );
    this.#computing.set(memory, byKind.set(kind, lane.name));
    return lane.name;
  }

  /** The lane that does a task of this kind between two memories next to each other; undefined where there is none. */
  moving(kind: TaskKind, from: MemoryName, to: MemoryName): LaneName | undefined {
    const lanes = this.#topology.lanes.filter(isTransfer);
    const forward = lanes.filter(({ moves }) => moves.from === from && moves.to === to);
    const backward = lanes.filter(({ moves }) => moves.from === to && moves.to === from);
    return (pick(forward, kind) ?? pick(backward, kind))?.name;
  }
}

/** One that is there for this kind, or else one that is there for any. */
function pick<Lane extends LanePlace>(lanes: readonly Lane[], kind: TaskKind): Lane | undefined {
  return lanes.find(({ serves }) => serves?.includes(kind)) ?? lanes.find(({ serves }) => !serves);
}
