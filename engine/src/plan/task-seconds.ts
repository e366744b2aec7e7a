/** Seconds of tasks that are estimated and never made. One object serves for all: a planner asks millions of times. */

import type { CostModel, PricedTask } from '../machine/cost-model.js';
import type { OpenWork } from '../schedule/layer-costs.js';
import type { TaskKind } from '../topology/topology.js';

/** The lanes of machines that can be estimated: those of the local one. */
export const estimatedLanes = ['disk', 'link', 'host', 'device'] as const;

export type EstimatedLane = (typeof estimatedLanes)[number];

export type LaneSeconds = Record<EstimatedLane, number>;

export function noSeconds(): LaneSeconds {
  return { disk: 0, link: 0, host: 0, device: 0 };
}

/** A task's costs, to be filled in. */
export type Draft = OpenWork & { isPageable: boolean };

type Work = { -readonly [Field in Exclude<keyof PricedTask, 'actualRows'>]: PricedTask[Field] };

export class TaskSeconds {
  readonly #costs: CostModel;
  readonly #task: Work = {
    ...{ lane: 'host', kind: 'attention', rows: 0, productRows: 0, bytes: 0, flops: 0 },
    ...{ scoreFlops: 0, cacheBytes: 0, numParts: 1, isPageable: false },
  };

  constructor(costs: CostModel) {
    this.#costs = costs;
  }

  /** @param fill says what it costs, after which nobody may hold on to its argument */
  of(lane: EstimatedLane, kind: TaskKind, rows: number, fill: (work: Draft) => void): number {
    const task = this.#task;
    task.lane = lane;
    task.kind = kind;
    task.rows = rows;
    task.productRows = rows;
    task.bytes = 0;
    task.flops = 0;
    task.scoreFlops = 0;
    task.cacheBytes = 0;
    task.numParts = 1;
    task.isPageable = false;
    fill(task);
    return this.#costs.secondsOf(task);
  }

  /** Of a task that moves bytes, or rows of hidden state. */
  moving(lane: EstimatedLane, kind: TaskKind, bytes: number, rows = 0): number {
    return this.of(lane, kind, rows, (work) => {
      work.bytes = bytes;
    });
  }

  /** From its end until its result is there. */
  latencyOf(lane: EstimatedLane, kind: TaskKind): number {
    this.#task.lane = lane;
    this.#task.kind = kind;
    return this.#costs.latencyOf(this.#task);
  }
}
