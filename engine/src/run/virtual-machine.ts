/**
 * A machine that computes nothing: every task takes as long as the cost model says, on a clock that jumps from event
 * to event. Lanes serve one task after the other, so contention and bubbles come out of the schedule.
 */

import type { CostModel } from '../machine/cost-model.js';
import type { ColdWeights, Lane } from '../machine/machine-model.js';
import { hasNoWeights, type Task } from '../schedule/task.js';
import type { Oracle } from '../speculate/acceptance.js';
import type { LaneName } from '../topology/topology.js';
import type { Machine, MachineLane, TaskListener, TaskOutcome } from './machine.js';

/** Used again when it has passed: a prediction has thousands, and few at a time. */
interface Event extends TaskOutcome {
  /** When the result is there. Later than planned when more urgent work has gone in between. */
  atSeconds: number;
  startSeconds: number;
  /** When the lane is done with it. */
  endSeconds: number;
  result: unknown;
  task: Task;
  listener: TaskListener;
}

type VirtualLane = MachineLane & Pick<Lane, 'gapSeconds' | 'wakeSeconds' | 'aloneFactor' | 'cold'>;

export interface VirtualMachineOptions {
  readonly costs: CostModel;
  readonly oracle: Oracle;
  readonly lanes: readonly VirtualLane[];
  readonly interruptsDraft: boolean;
  /** A factor of a task's time, drawn anew for each. @default always 1 */
  readonly drawFactor?: (lane: LaneName) => number;
  /** Called when nothing is under way and nothing was added: whatever is still awaited would never end. */
  readonly onStall?: () => void;
}

/** What a lane is working on. */
interface LaneClock {
  /** Before its next task starts: one that came while it was at work, and one that it has to be woken for. */
  readonly gapSeconds: number;
  readonly wakeSeconds: number;
  readonly aloneFactor: number;
  readonly cold: ColdWeights | null;
  freeAtSeconds: number;
  /** The divisible task that it is working on or has last worked on. */
  divisible: Event | null;
}

export class VirtualMachine implements Machine {
  readonly lanes: readonly MachineLane[];
  readonly #options: VirtualMachineOptions;
  readonly #events = new EventQueue();
  readonly #passed: Event[] = [];
  readonly #clocks: ReadonlyMap<LaneName, LaneClock>;
  /** When tasks that bring weights ended; null where no lane asks. */
  readonly #broughtAt: Map<number, number> | null;
  #nowSeconds = 0;
  #isPumping = false;
  #isPaused = false;

  constructor(options: VirtualMachineOptions) {
    this.#options = options;
    this.lanes = options.lanes;
    this.#clocks = new Map(
      options.lanes.map(
        ({ name, gapSeconds = 0, wakeSeconds = gapSeconds, aloneFactor = 1, cold = null }) => [
          name,
          { gapSeconds, wakeSeconds, aloneFactor, cold, freeAtSeconds: 0, divisible: null },
        ],
      ),
    );
    this.#broughtAt = options.lanes.some(({ cold }) => cold) ? new Map() : null;
  }

  now(): number {
    return this.#nowSeconds;
  }

  start(task: Task, _slot: number, readySeconds: number, listener: TaskListener): void {
    const { lane } = task;
    const { costs, drawFactor } = this.#options;
    const clock = this.#clocks.get(lane) as LaneClock;
    const ownSeconds = costs.secondsOf(task) + this.#coldSeconds(task, clock);
    const seconds = ownSeconds * (drawFactor?.(lane) ?? 1) * this.#factorOf(clock);
    const startSeconds =
      this.#interrupt(task, clock, seconds) ??
      // What became ready at the very end of the lane's last task waited for that: the lane had nothing to do by then.
      (readySeconds < clock.freeAtSeconds
        ? Math.max(this.#nowSeconds, clock.freeAtSeconds + clock.gapSeconds)
        : this.#nowSeconds + clock.wakeSeconds);
    const endSeconds = startSeconds + seconds;
    clock.freeAtSeconds = Math.max(clock.freeAtSeconds, endSeconds);
    const event = this.#event(task, listener);
    event.startSeconds = startSeconds;
    event.endSeconds = endSeconds;
    event.atSeconds = endSeconds + costs.latencyOf(task);
    if (task.isDivisible) clock.divisible = event;
    this.#events.push(event);
    this.#schedulePump();
  }

  /** Of a task that the lane is given now: what the rates say holds while another lane is at work. */
  #factorOf(clock: LaneClock): number {
    if (clock.aloneFactor === 1) return 1;
    for (const other of this.#clocks.values())
      if (other !== clock && other.freeAtSeconds > this.#nowSeconds) return 1;
    return clock.aloneFactor;
  }

  /** What it takes besides where its weights did not just come. */
  #coldSeconds({ broughtBy, bytes }: Task, { cold, freeAtSeconds }: LaneClock): number {
    if (!cold || broughtBy === hasNoWeights) return 0;
    const broughtAt = this.#broughtAt?.get(broughtBy) ?? Number.NEGATIVE_INFINITY;
    const passedSeconds = Math.max(this.#nowSeconds, freeAtSeconds) - broughtAt;
    return passedSeconds > cold.afterSeconds ? bytes * cold.secondsPerByte : 0;
  }

  #event(task: Task, listener: TaskListener): Event {
    const event = this.#passed.pop();
    if (!event) return { atSeconds: 0.5, startSeconds: 0.5, endSeconds: 0.5, result: null, task, listener };
    event.task = task;
    event.listener = listener;
    return event;
  }

  /**
   * Lets a more urgent task go in between the pieces of the divisible one under way, which ends so much later.
   * @returns when the task starts; undefined when it must wait its turn
   */
  #interrupt(task: Task, clock: LaneClock, seconds: number): number | undefined {
    const running = clock.divisible;
    const isPossible =
      this.#options.interruptsDraft &&
      running !== null &&
      !task.isDivisible &&
      running.startSeconds <= this.#nowSeconds &&
      this.#nowSeconds < running.endSeconds &&
      running.endSeconds === clock.freeAtSeconds;
    if (!isPossible) return undefined;
    const lostSeconds = clock.gapSeconds + seconds;
    running.endSeconds += lostSeconds;
    clock.freeAtSeconds += lostSeconds;
    this.#events.delay(running, lostSeconds);
    return this.#nowSeconds + clock.gapSeconds;
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** Keeps nothing of the task alive. */
  #pass(event: Event): void {
    const clock = this.#clocks.get(event.task.lane) as LaneClock;
    if (clock.divisible === event) clock.divisible = null;
    event.result = null;
    this.#passed.push(event);
  }

  /** Time passes only when everyone who was told of an end has had a turn: after the current microtasks. */
  #schedulePump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => this.#pump());
  }

  #pump(): void {
    this.#isPaused = false;
    while (!this.#isPaused) {
      const event = this.#events.pop();
      if (!event) {
        this.#isPumping = false;
        this.#options.onStall?.();
        return;
      }
      const { task, listener } = event;
      this.#nowSeconds = event.atSeconds;
      if (task.kind === 'load' || task.kind === 'upload') this.#broughtAt?.set(task.id, this.#nowSeconds);
      event.result = task.imagine?.(this.#options.oracle) ?? null;
      listener.ended(task, event);
      this.#pass(event);
    }
    setImmediate(() => this.#pump());
  }
}

/** Events by time; those at the same time by the number of their task, so that equal runs are equal. A binary heap. */
class EventQueue {
  readonly #heap: Event[] = [];

  push(event: Event): void {
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1, event);
  }

  pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    this.#sink(0, last);
    return first;
  }

  /** Moves an event that is in the queue to a later time; searched for, since a lane has few under way. */
  delay(event: Event, seconds: number): void {
    event.atSeconds += seconds;
    this.#sink(this.#heap.indexOf(event), event);
  }

  #rise(from: number, event: Event): void {
    const heap = this.#heap;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isEarlier(event, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
  }

  #sink(from: number, event: Event): void {
    const heap = this.#heap;
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isEarlier(heap[child + 1], heap[child])) child += 1;
      if (!isEarlier(heap[child], event)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = event;
  }
}

function isEarlier(a: Event, b: Event): boolean {
  return a.atSeconds !== b.atSeconds ? a.atSeconds < b.atSeconds : a.task.id < b.task.id;
}
