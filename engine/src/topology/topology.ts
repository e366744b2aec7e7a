/**
 * Which memories a machine has, and which lanes move data between them or compute on them. A schedule asks for three
 * memories by name: `disk`, where weights rest, `host`, and `device`, where layers are computed. Others are stops on the
 * way of weights, or where a lane that serves drafts has the draft model. The rest is data.
 */

import { UserError } from '@specoffload/input';

/** A place where work happens, as the machine's topology names it: `disk`, `link`, `host`, `device` in most. */
export type LaneName = string;

export type MemoryName = string;

/** For every memory in which a run has things: host and device on any machine. */
export type ByMemory<Value> = Readonly<Record<MemoryName, Value>> & {
  readonly device: Value;
  readonly host: Value;
};

export const taskKinds = [
  'load', // disk: weights from storage to the next memory on their way
  'upload', // link: weights from host to device memory, widened to fp32 on the local machine
  'fetch', // link: one frame's part of one layer's KV cache, host to device
  'store', // link: the same, device to host
  'embed', // device: token embeddings
  'project', // device: norm, then q, k and v
  'attention', // host: scores and values over the KV cache; alone on its lane: with projections and router
  'mix', // device: output projection, residual, norm, router
  'expert', // device or host: one expert's (or the dense) FFN
  'merge', // device: adds what an expert on the host has computed
  'head', // device: final norm, logits, choice
  'draft', // device: one step of the draft model
  'realign', // host: caches shifted after a round, as the released code does; virtual machine only
] as const;

export type TaskKind = (typeof taskKinds)[number];

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

/** A lane's name and place as one word: equal for lanes that can stand for each other. */
export function placeOf(lane: LanePlace): string {
  return `${lane.name}: ${isTransfer(lane) ? `${lane.moves.from} to ${lane.moves.to}` : lane.computesOn}`;
}

/** One lane's part of a way: what is moved rests in `to` until the next hop takes it on. */
export interface Hop extends Move {
  readonly lane: LaneName;
}

/** Which lane does what. */
export class Routes {
  readonly #lanes: readonly LanePlace[];
  readonly #computing = new Map<MemoryName, Map<TaskKind, LaneName>>();
  readonly #ways = new Map<string, readonly Hop[]>();
  #drafting: Routes['drafting'] | undefined;

  constructor(lanes: readonly LanePlace[]) {
    this.#lanes = lanes;
  }

  /** @throws UserError when no lane that computes on that memory takes this kind of task */
  computing(kind: TaskKind, memory: MemoryName): LaneName {
    const byKind = this.#computing.get(memory) ?? new Map<TaskKind, LaneName>();
    const known = byKind.get(kind);
    if (known !== undefined) return known;
    const lanes = this.#lanes.filter((lane) => !isTransfer(lane) && lane.computesOn === memory);
    const lane = pick(lanes, kind);
    if (!lane)
      throw new UserError(
        `no lane computes ${kind} on the memory ${memory}; add one with "computesOn": "${memory}" to the machine's lanes`,
      );
    this.#computing.set(memory, byKind.set(kind, lane.name));
    return lane.name;
  }

  /** Where a draft model lives and computes: the memory of a lane that serves drafts, or else the device. */
  get drafting(): { readonly lane: LaneName; readonly memory: MemoryName } {
    this.#drafting ??= this.#findDrafting();
    return this.#drafting;
  }

  #findDrafting() {
    const own = this.#lanes.find((lane) => !isTransfer(lane) && lane.serves?.includes('draft'));
    const memory = own && !isTransfer(own) ? own.computesOn : 'device';
    return { lane: this.computing('draft', memory), memory };
  }

  /** The lane that does a task of this kind between two memories next to each other; undefined where there is none. */
  moving(kind: TaskKind, from: MemoryName, to: MemoryName): LaneName | undefined {
    const lanes = this.#lanes.filter(isTransfer);
    const forward = lanes.filter(({ moves }) => moves.from === from && moves.to === to);
    const backward = lanes.filter(({ moves }) => moves.from === to && moves.to === from);
    return (pick(forward, kind) ?? pick(backward, kind))?.name;
  }

  /**
   * The lane for the KV cache on its way to the device's attention, or back.
   * @throws UserError where there is none
   */
  crossing(kind: 'fetch' | 'store'): LaneName {
    const [from, to] = kind === 'fetch' ? ['host', 'device'] : ['device', 'host'];
    const lane = this.moving(kind, from, to);
    if (lane !== undefined) return lane;
    throw new UserError(
      `no lane moves the KV cache from ${from} to ${to} memory; add one to the machine's lanes, or keep the cache where attention is computed`,
    );
  }

  /**
   * The way of weights from where they rest to where they are used: the fewest hops, through the lanes named first.
   * @throws UserError when no lanes lead there
   */
  way(from: MemoryName, to: MemoryName): readonly Hop[] {
    const key = `${from} ${to}`;
    const known = this.#ways.get(key);
    if (known) return known;
    const way = this.#findWay(from, to);
    if (!way)
      throw new UserError(
        `no lanes lead from the memory ${from} to ${to}; add one with "moves": {"from": "${from}", "to": "${to}"} to the machine's lanes`,
      );
    this.#ways.set(key, way);
    return way;
  }

  #findWay(from: MemoryName, to: MemoryName): readonly Hop[] | undefined {
    let ways: readonly (readonly Hop[])[] = [[]];
    const reached = new Set([from]);
    while (ways.length > 0) {
      const arrived = ways.find((way) => (way.at(-1)?.to ?? from) === to);
      if (arrived) return arrived;
      ways = ways.flatMap((way) =>
        this.#hopsFrom(way.at(-1)?.to ?? from, reached).map((hop) => [...way, hop]),
      );
    }
    return undefined;
  }

  /** @param reached mutated: gets the memories that these hops reach first */
  #hopsFrom(from: MemoryName, reached: Set<MemoryName>): Hop[] {
    const next = this.#lanes.filter(isTransfer).flatMap(({ moves }) => (moves.from === from ? moves.to : []));
    return next.flatMap((to) => {
      const lane = this.moving(kindOfHop(from), from, to);
      if (reached.has(to) || lane === undefined) return [];
      reached.add(to);
      return { lane, from, to };
    });
  }
}

/** What a task is called that takes weights on from a memory. */
export function kindOfHop(from: MemoryName): 'load' | 'upload' {
  return from === 'disk' ? 'load' : 'upload';
}

/** One that is there for this kind, or else one that is there for any. */
function pick<Lane extends LanePlace>(lanes: readonly Lane[], kind: TaskKind): Lane | undefined {
  return lanes.find(({ serves }) => serves?.includes(kind)) ?? lanes.find(({ serves }) => !serves);
}

const routesByLanes = new WeakMap<readonly LanePlace[], Routes>();

/** Found once for each list of lanes: plans ask for them again and again. */
export function routesOf(lanes: readonly LanePlace[]): Routes {
  const routes = routesByLanes.get(lanes) ?? new Routes(lanes);
  routesByLanes.set(lanes, routes);
  return routes;
}
