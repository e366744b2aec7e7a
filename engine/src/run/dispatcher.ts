/**
 * Runs a task graph on a machine: keeps every lane fed with its most urgent ready task, hands out slots, and writes
 * the trace. Knows nothing of models; the same code drives a real and a virtual machine.
 */

import { nowhere, type SlotClass, type Task } from '../schedule/task.js';
import type { LaneName } from '../topology/topology.js';
import { causeOf } from '../trace/idle.js';
import { SpanLog } from '../trace/span-log.js';
import type { IdleCause, Span } from '../trace/types.js';
import type { Machine, MachineLane, TaskListener, TaskOutcome } from './machine.js';
import { SlotTable, type SlotUses } from './slot-table.js';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What waits and runs on a lane. */
interface LaneState {
  readonly lane: MachineLane;
  /** The most urgent first. */
  readonly ready: Entry[];
  numRunning: number;
}

interface Entry {
  readonly task: Task;
  readonly lane: LaneState;
  numBlockers: number;
  readySeconds: number;
  /** The kind of work (see `causeOf`) that it waited for last, be it a task or a slot that one gave back. */
  waitedFor: IdleCause;
  /** Tasks that wait for this one; null where there are none. */
  dependents: Entry[] | null;
  /** Those that wait only for it to be on its way, see {@link leads}; null where there are none. */
  followers: Entry[] | null;
  /** Those that it may follow before they have ended. */
  leaders: Entry[] | null;
  isStarted: boolean;
}

export class Dispatcher implements TaskListener {
  readonly #machine: Machine;
  /** By task number, which counts up from 0: predictions look thousands up, and this is the fastest table. */
  readonly #entries: (Entry | undefined)[] = [];
  readonly #lanes: readonly LaneState[];
  readonly #laneByName: ReadonlyMap<LaneName, LaneState>;
  readonly #slots = new SlotTable<Entry>();
  readonly #waiters = new Map<number, Waiter[]>();
  /** Of every span so far, in order of ending. */
  readonly log = new SpanLog();
  /** What kind of work was awaited last: tasks that are added next could not begin before it. */
  #awaited: IdleCause = 'nothing';
  #failure: Error | null = null;
  #onQuiet: (() => void) | null = null;
  #dispatching = false;

  constructor(machine: Machine) {
    this.#machine = machine;
    const lanes: readonly MachineLane[] = [
      ...machine.lanes,
      { name: nowhere, computesOn: nowhere, width: Number.POSITIVE_INFINITY },
    ];
    this.#lanes = lanes.map((lane) => ({ lane, ready: [], numRunning: 0 }));
    this.#laneByName = new Map(this.#lanes.map((state) => [state.lane.name, state]));
  }

  /** Every span so far, in order of ending. */
  get spans(): readonly Span[] {
    return this.log.listFrom(0);
  }

  /** Every use of a slot so far; those that have not been given back last until now. */
  slotUses(first = 0): SlotUses {
    return this.#slots.uses(this.#machine.now(), first);
  }

  /** Drops the trace so far. */
  forgetSpans(): void {
    this.log.clear();
    this.#slots.forgetUses();
  }

  /** The slot that a task took and still holds. */
  slotOf(taskId: number): number {
    return this.#slots.slotOf(taskId);
  }

  /** Adds tasks; those with nothing to wait for start at once. */
  add(tasks: readonly Task[]): void {
    for (const task of tasks) {
      const entry: Entry = {
        task,
        lane: this.#laneOf(task),
        numBlockers: 0,
        readySeconds: 0,
        waitedFor: 'nothing',
        dependents: null,
        followers: null,
        leaders: null,
        isStarted: false,
      };
      this.#entries[task.id] = entry;
      if (task.takes) this.#slots.enqueue(task.takes, entry);
      for (const id of task.after) {
        const blocker = this.#entries[id];
        if (!blocker) continue;
        if (leads(blocker, entry)) follow(blocker, entry);
        else block(blocker, entry);
      }
      if (entry.numBlockers === 0) this.#unblock(entry, this.#awaited);
    }
    this.#dispatch();
  }

  /** Resolves when the task has ended; rejects when the run has failed. */
  settled(taskId: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (!this.#entries[taskId]) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const waiters = this.#waiters.get(taskId);
      if (waiters) waiters.push({ resolve, reject });
      else this.#waiters.set(taskId, [{ resolve, reject }]);
    });
  }

  /** Stops starting tasks, and makes everyone who waits fail with `reason`. */
  fail(reason: Error): void {
    if (this.#failure) return;
    this.#failure = reason;
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(reason);
    this.#waiters.clear();
    this.#notifyIfQuiet();
  }

  /** Drops all tasks that have not started and resolves when those under way have ended. */
  async drain(): Promise<void> {
    this.fail(new Error('the dispatcher is drained'));
    if (this.#isQuiet()) return;
    await new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  /** For the machine. */
  ended(task: Task, outcome: TaskOutcome): void {
    const entry = this.#entries[task.id] as Entry;
    entry.lane.numRunning -= 1;
    this.#record(entry, outcome);
    this.#end(entry, outcome.result, causeOf(task, entry.lane.lane));
    this.#notifyIfQuiet();
  }

  /** For the machine. */
  failed(task: Task, error: Error): void {
    this.#laneOf(task).numRunning -= 1;
    this.fail(error);
    this.#notifyIfQuiet();
  }

  /**
   * Its last blocker has ended: it is ready, or joins the queue for the slot that it takes.
   * @param cause the kind of work that it waited for last
   */
  #unblock(entry: Entry, cause: IdleCause): void {
    if (entry.task.takes) this.#grantSlots(entry.task.takes, cause);
    else this.#markReady(entry, cause);
  }

  #grantSlots(slotClass: SlotClass, cause: IdleCause): void {
    this.#slots.grant(slotClass, (entry) => this.#markReady(entry, cause));
  }

  #markReady(entry: Entry, cause: IdleCause): void {
    entry.waitedFor = cause;
    entry.readySeconds = this.#machine.now();
    const { ready } = entry.lane;
    let index = ready.length;
    while (index > 0 && isMoreUrgent(entry.task, ready[index - 1].task)) index -= 1;
    ready.splice(index, 0, entry);
  }

  #dispatch(): void {
    if (this.#dispatching) return; // a task with nothing to do ends inside the loop, and calls this again
    this.#dispatching = true;
    let hasProgress = true;
    while (hasProgress && !this.#failure) {
      hasProgress = false;
      for (const lane of this.#lanes) while (this.#startNext(lane)) hasProgress = true;
    }
    this.#dispatching = false;
  }

  /** Starts the most urgent task of the lane; false when there is none or the lane is full. */
  #startNext({ lane, ready, numRunning }: LaneState): boolean {
    if (this.#failure || numRunning >= lane.width) return false;
    const entry = ready.shift();
    if (!entry) return false;
    this.#start(entry);
    return true;
  }

  #start(entry: Entry): void {
    const { task } = entry;
    const slot = task.takes ? this.slotOf(task.id) : -1;
    if (task.lane === nowhere) this.#slots.begin(task.id, this.#machine.now());
    const isIdle = task.lane === nowhere || task.isIdle?.();
    if (isIdle && this.#awaitsLeader(entry)) return;
    entry.isStarted = true;
    if (isIdle) {
      // It took no time: its dependents have really waited for what this task waited for, and are told so.
      this.#end(entry, undefined, entry.waitedFor);
      return;
    }
    entry.lane.numRunning += 1;
    try {
      this.#machine.start(task, slot, entry.readySeconds, this);
    } catch (error) {
      this.failed(task, toError(error));
    }
    this.#release(entry);
  }

  /** What has nothing to do ends at once, and whoever waits for it waits for all before it: then it is to be started later. */
  #awaitsLeader(entry: Entry): boolean {
    const leader = entry.leaders?.find(({ task }) => this.#entries[task.id] !== undefined);
    if (leader) block(leader, entry);
    return leader !== undefined;
  }

  /** It is on its way: so may be what only has to come behind it. */
  #release(entry: Entry): void {
    const { followers } = entry;
    entry.followers = null;
    if (followers) for (const follower of followers) this.#resolveOne(follower, 'nothing');
  }

  #resolveOne(entry: Entry, cause: IdleCause): void {
    entry.numBlockers -= 1;
    if (entry.numBlockers === 0) this.#unblock(entry, cause);
  }

  /** @param cause the kind of work that its dependents are recorded to have waited for */
  #end(entry: Entry, result: unknown, cause: IdleCause): void {
    const { task, dependents } = entry;
    if (!this.#failure) this.#tell(task, result);
    if (task.frees) for (const holder of task.frees) this.#free(holder, cause);
    this.#entries[task.id] = undefined;
    // Cuts the chain: one entry in the collector's old generation would keep alive every task that came after it.
    entry.dependents = null;
    entry.leaders = null;
    if (dependents) for (const dependent of dependents) this.#resolveOne(dependent, cause);
    this.#release(entry);
    const waiters = this.#waiters.get(task.id);
    if (waiters) {
      this.#waiters.delete(task.id);
      this.#awaited = cause;
      for (const waiter of waiters) waiter.resolve();
      this.#machine.pause?.();
    }
    this.#dispatch();
  }

  #tell(task: Task, result: unknown): void {
    try {
      task.onEnd?.(result);
    } catch (error) {
      this.fail(toError(error));
    }
  }

  #free(taskId: number, cause: IdleCause): void {
    const slotClass = this.#slots.free(taskId, this.#machine.now());
    if (slotClass) this.#grantSlots(slotClass, cause);
  }

  #record({ task, readySeconds, waitedFor }: Entry, { startSeconds, endSeconds }: TaskOutcome): void {
    const rows = task.actualRows?.() ?? task.rows;
    if (task.takes) this.#slots.begin(task.id, startSeconds);
    const bytes = task.bytes + task.cacheBytes;
    const flops = task.flops * (task.actualRows ? rows / task.rows : 1) + task.scoreFlops;
    this.log.add(task, { bytes, rows, flops, readySeconds, waitedFor }, startSeconds, endSeconds);
  }

  #notifyIfQuiet(): void {
    if (!this.#onQuiet || !this.#isQuiet()) return;
    this.#onQuiet();
    this.#onQuiet = null;
  }

  #isQuiet(): boolean {
    return this.#lanes.every(({ numRunning }) => numRunning === 0);
  }

  #laneOf({ name, lane }: Task): LaneState {
    const state = this.#laneByName.get(lane);
    if (!state) throw new Error(`${name} is for a lane that the machine does not have: ${lane}`);
    return state;
  }
}

/** Whether one may be sent behind the other: the lane keeps their order, and nobody need hear of it in between. */
function leads({ task, lane }: Entry, { task: next, lane: nextLane }: Entry): boolean {
  return (
    lane === nextLane &&
    lane.lane.keepsOrder === true &&
    (task.kind === 'expert' || task.kind === 'merge') &&
    !task.onEnd &&
    !next.isDivisible &&
    !next.takes
  );
}

/** Mutates both. */
function follow(leader: Entry, entry: Entry): void {
  entry.leaders = [...(entry.leaders ?? []), leader];
  if (leader.isStarted) return;
  entry.numBlockers += 1;
  leader.followers = [...(leader.followers ?? []), entry];
}

/** Mutates both. */
function block(blocker: Entry, entry: Entry): void {
  entry.numBlockers += 1;
  if (blocker.dependents) blocker.dependents.push(entry);
  else blocker.dependents = [entry];
}

/** The order of ready tasks on a lane: by priority, then by id, so that equal tasks always go the same way. */
function isMoreUrgent(a: Task, b: Task): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.id < b.id;
}

/** What was thrown, or given as a reason for aborting, as an error. */
export function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
