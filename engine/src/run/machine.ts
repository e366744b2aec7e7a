/** What a dispatcher drives: lanes that execute tasks, and say how each ended. */

import type { Task } from '../schedule/task.js';
import type { LanePlace } from '../topology/topology.js';

/** When a task really ran, on the machine's clock (seconds), and what came out of it. */
export interface TaskOutcome {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly result: unknown;
}

/** Whom a machine tells of a task's end. */
export interface TaskListener {
  ended(task: Task, outcome: TaskOutcome): void;
  failed(task: Task, error: Error): void;
}

/** A lane, and how many tasks it accepts at once: above 1 it works in order and is never left waiting for a message. */
export type MachineLane = LanePlace & {
  readonly width: number;
  /** Whether what is sent to it is begun, ended and told in that order, divisible work apart. @default false */
  readonly keepsOrder?: boolean;
};

/** Something that can execute tasks: worker threads and a real clock, or a cost model and a virtual one. */
export interface Machine {
  /** In the order in which they are served where several could start something. */
  readonly lanes: readonly MachineLane[];
  now(): number;
  /**
   * Starts the task in the slot it took (-1 without), and tells the listener once how it ended, never before returning.
   * @param readySeconds since when nothing but the lane has held it up, on the machine's clock
   * @throws what the making of the task's op throws
   */
  start(task: Task, slot: number, readySeconds: number, listener: TaskListener): void;
  /** Somebody who waited has been told, and may add tasks now: a virtual clock stands still until then. */
  pause?(): void;
}
