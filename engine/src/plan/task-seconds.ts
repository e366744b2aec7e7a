/** Seconds of tasks that are estimated and never made. One object serves for all: a planner asks millions of times. */

import type { CostModel, PricedTask } from '../machine/cost-model.js';
import type { Lane } from '../machine/machine-model.js';
import type { OpenWork } from '../schedule/layer-costs.js';
import {
  isTransfer,
  type LaneName,
  type LanePlace,
  type MemoryName,
  type Routes,
  routesOf,
  type TaskKind,
} from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';

/** What each of a machine's lanes has to do. */
export type LaneSeconds = Record<LaneName, number>;

/** A task's costs, to be filled in. */
export type Draft = OpenWork & { isPageable: boolean };

type Work = { -readonly [Field in Exclude<keyof PricedTask, 'actualRows'>]: PricedTask[Field] };

/** One task on one lane; `fill` says what it costs, after which nobody may hold on to its argument. */
type Fill = (work: Draft) => void;

export class TaskSeconds {
  readonly lanes: readonly LaneName[];
  readonly computing: readonly LaneName[];
  /** Lanes that move data, and of those the ones that end in device memory. */
  readonly moving: readonly LaneName[];
  readonly arriving: readonly LaneName[];
  readonly #onDevice: readonly LaneName[];
  readonly #routes: Routes;
  readonly #costs: CostModel;
  readonly #none: Readonly<LaneSeconds>;
  readonly #gaps: Readonly<LaneSeconds>;
  readonly #wakes: Readonly<LaneSeconds>;
  readonly #task: Work = {
    lane: 'host',
    kind: 'attention',
    phase: 'decode',
    rows: 0,
    productRows: 0,
    bytes: 0,
    flops: 0,
    scoreFlops: 0,
    cacheBytes: 0,
    linkBytes: 0,
    numParts: 1,
    isPageable: false,
  };

  constructor(costs: CostModel, lanes: readonly (LanePlace & Pick<Lane, 'gapSeconds' | 'wakeSeconds'>)[]) {
    const namesOf = (some: readonly LanePlace[]) => some.map(({ name }) => name);
    this.#costs = costs;
    this.#routes = routesOf(lanes);
    this.#gaps = Object.fromEntries(lanes.map(({ name, gapSeconds = 0 }) => [name, gapSeconds]));
    this.#wakes = Object.fromEntries(lanes.map(({ name, wakeSeconds = 0 }) => [name, wakeSeconds]));
    this.#none = Object.fromEntries(lanes.map(({ name }) => [name, 0]));
    this.lanes = namesOf(lanes);
    this.moving = namesOf(lanes.filter(isTransfer));
    this.arriving = namesOf(lanes.filter(isTransfer).filter(({ moves }) => moves.to === 'device'));
    this.computing = namesOf(lanes.filter((lane) => !isTransfer(lane)));
    this.#onDevice = namesOf(lanes.filter((lane) => !isTransfer(lane) && lane.computesOn === 'device'));
  }

  /** Nothing to do yet, on any lane. */
  none(): LaneSeconds {
    return { ...this.#none };
  }

  get drafting(): Routes['drafting'] {
    return this.#routes.drafting;
  }

  /** What is asked from now on is done in that phase. */
  enter(phase: PhaseName): void {
    this.#task.phase = phase;
  }

  of(lane: LaneName, kind: TaskKind, rows: number, fill: Fill): number {
    const task = this.#task;
    task.lane = lane;
    task.kind = kind;
    task.rows = rows;
    task.productRows = rows;
    task.bytes = 0;
    task.flops = 0;
    task.scoreFlops = 0;
    task.cacheBytes = 0;
    task.linkBytes = 0;
    task.numParts = 1;
    task.isPageable = false;
    fill(task);
    return this.#costs.secondsOf(task) + this.#gaps[lane];
  }

  /** Adds equal tasks, one after the other, to the lane that computes them. @returns seconds of them all */
  compute(
    lanes: LaneSeconds,
    kind: TaskKind,
    memory: MemoryName,
    rows: number,
    fill: Fill,
    times = 1,
  ): number {
    const lane = this.#routes.computing(kind, memory);
    const seconds = times * this.of(lane, kind, rows, fill);
    lanes[lane] += seconds;
    return seconds;
  }

  /** Adds what a frame's cache takes on its way between host and device. */
  cross(lanes: LaneSeconds, kind: 'fetch' | 'store', bytes: number): void {
    const lane = this.#routes.crossing(kind);
    lanes[lane] += this.of(lane, kind, 0, (work) => {
      work.bytes = bytes;
    });
  }

  /** From the end of a task until its result is there. */
  latencyOf(kind: TaskKind, memory: MemoryName): number {
    this.#task.lane = this.#routes.computing(kind, memory);
    this.#task.kind = kind;
    return this.#costs.latencyOf(this.#task);
  }

  /** Until a lane that had nothing to do has begun with what another one has made ready, beyond the usual gap. */
  wakeOf(kind: TaskKind, memory: MemoryName): number {
    const lane = this.#routes.computing(kind, memory);
    return Math.max(0, this.#wakes[lane] - this.#gaps[lane]);
  }

  /** Of the lanes that compute on the device, what the one has to do that has most. */
  busiestOnDevice(lanes: Readonly<LaneSeconds>): number {
    return mostOf(lanes, this.#onDevice);
  }
}

/** Of some lanes, what the one has to do that has most. */
export function mostOf(lanes: Readonly<LaneSeconds>, names: readonly LaneName[]): number {
  let most = 0;
  for (const name of names) most = Math.max(most, lanes[name]);
  return most;
}

export function sumOf(lanes: Readonly<LaneSeconds>, names: readonly LaneName[]): number {
  let total = 0;
  for (const name of names) total += lanes[name];
  return total;
}
