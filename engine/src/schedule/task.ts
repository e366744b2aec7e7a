/** The task graph: what is to be done, where, after what, with which buffers. Data only; a dispatcher runs it. */

import type { PricedTask } from '../machine/cost-model.js';
import type { Oracle } from '../speculate/acceptance.js';
import type { LaneName } from '../topology/topology.js';
import type { TaskLabel } from '../trace/types.js';
import type { DraftResult, HeadResult, LookedUp, MixResult, Op } from './ops.js';

/** Buffers of equal size in one memory; a task that takes one waits until one is free. */
export interface SlotClass {
  /** `device.expert`, `host.attention`, … */
  readonly name: string;
  readonly count: number;
}

/** What a task that chooses its slot answers instead of a place among the free ones: it needs none, or waits for another. */
export const [needsNoSlot, waitsForSlot] = [-1, -2];

/** What a task answers in place of the one that brought its weights: they stay where it finds them, or it has none. */
export const [staysThere, hasNoWeights] = [-1, -2];

/** Where tasks are that only take a slot: on no lane. */
export const nowhere: LaneName = 'nowhere';

/**
 * One piece of work on one lane.
 * Its op is made when the task starts, because it may name slots and tokens that are not known before.
 */
export interface Task extends TaskLabel, PricedTask {
  /** Tasks that must have ended. Unknown ids count as ended. */
  readonly after: readonly number[];
  /** Lower goes first among the ready tasks of a lane; ties go to the lower id. */
  readonly priority: number;
  readonly actualRows: (() => number) | undefined;
  /** The task that brought the weights it reads into the memory where it finds them; or {@link staysThere}, {@link hasNoWeights}. */
  readonly broughtBy: number;
  /** Made of so many small pieces that, on a device that can, more urgent work goes in between. */
  readonly isDivisible: boolean;
  /**
   * Takes a slot of this class once nothing else is left to wait for; the slot stays taken until a task that `frees` it
   * has ended. Slots go to takers in the order in which they were added, not in which they become ready: otherwise
   * weights that are needed later could fill all slots and those needed first would wait for ever.
   */
  readonly takes: SlotClass | undefined;
  /**
   * Which of the free slots it takes (a place in the list), where what they hold matters; {@link needsNoSlot} where it turns
   * out to need none, {@link waitsForSlot} where none of them will do. Asked when it is its turn, and again when one is freed.
   */
  readonly chooseSlot: ((free: readonly number[]) => number) | undefined;
  /** Tasks whose slots this one, their last user, gives back at its end. */
  readonly frees: readonly number[] | undefined;
  /** Asked at the start: true when there turns out to be nothing to do (an expert that no token chose). */
  readonly isIdle: (() => boolean) | undefined;
  /** `slot` is the index of the slot it took, -1 without. */
  readonly createOp: (slot: number) => Op;
  /** What a machine without arithmetic returns in place of a result; absent where nothing is returned. */
  readonly imagine:
    | ((oracle: Oracle) => HeadResult | MixResult | DraftResult | readonly LookedUp[])
    | undefined;
  /** Called at the end, before dependents start. */
  readonly onEnd: ((result: unknown) => void) | undefined;
}

/** What every task must say. */
export type TaskHead = Pick<
  Task,
  'id' | 'lane' | 'kind' | 'name' | 'phase' | 'pass' | 'batch' | 'priority' | 'rows'
>;

/** What it says besides; what is left out means nothing to do, nothing to hold, nothing to return. */
export type TaskBody = Partial<Omit<Task, keyof TaskHead>> &
  Pick<Task, 'after' | 'createOp'> &
  Partial<TaskHead>;

/** A task that its maker has not finished yet. */
export type OpenTask = { -readonly [Field in keyof Task]: Task[Field] };

/**
 * A task with nothing to do, hold or return, for its maker to fill in. Every task begins here, so that all have one
 * hidden class: predictions make and read thousands of them, and merging objects of mixed shapes takes ten times as
 * long.
 */
export function openTask(head: TaskHead, after: readonly number[], createOp: Task['createOp']): OpenTask {
  return {
    id: head.id,
    lane: head.lane,
    kind: head.kind,
    name: head.name,
    phase: head.phase,
    pass: head.pass,
    batch: head.batch,
    bytes: 0,
    rows: head.rows,
    after,
    priority: head.priority,
    flops: 0,
    productRows: head.rows,
    scoreFlops: 0,
    cacheBytes: 0,
    linkBytes: 0,
    numParts: 1,
    isDivisible: false,
    isPageable: false,
    actualRows: undefined,
    broughtBy: hasNoWeights,
    takes: undefined,
    chooseSlot: undefined,
    frees: undefined,
    isIdle: undefined,
    createOp,
    imagine: undefined,
    onEnd: undefined,
  };
}

/** A complete task in one expression, where there are few of them; `body` has the last word. */
export function createTask(head: TaskHead, body: TaskBody): Task {
  const task = openTask(head, body.after, body.createOp);
  return Object.assign(task, body.rows === undefined ? {} : { productRows: body.rows }, body);
}
