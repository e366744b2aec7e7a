/** Who holds which slot, and who waits for one. */

import { needsNoSlot, type SlotClass, type Task, waitsForSlot } from '../schedule/task.js';

/** A slot's time from the start of the task that took it until it was given back. */
export interface SlotUse {
  readonly slotClass: SlotClass;
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** Those of a table that nobody forgets any more, made when they are asked for: of most predictions nobody does. */
export interface SlotUses {
  readonly length: number;
  toArray(): readonly SlotUse[];
}

interface Taker {
  readonly task: Task;
  readonly numBlockers: number;
}

/** Slots are granted in the order in which their takers were added, whichever is ready first: see {@link Task.takes}. */
interface SlotState<Entry> {
  readonly free: number[];
  /** Takers, in the order of their adding; those before `head` have been given a slot. */
  readonly queue: Entry[];
  head: number;
}

/** Entries that have been served are dropped from a queue's front when there are this many of them. */
const longQueue = 1024;

interface SlotHold {
  readonly slotClass: SlotClass;
  /** {@link needsNoSlot} of a task that turned out to need none. */
  readonly slot: number;
  /** When its taker started, and with it the filling; NaN before, and for good where there was nothing to do. */
  startSeconds: number;
}

export class SlotTable<Entry extends Taker> {
  readonly #slots = new Map<SlotClass, SlotState<Entry>>();
  readonly #holds = new Map<number, SlotHold>();
  /** Of each use so far that has ended, in columns. */
  readonly #usedClasses: SlotClass[] = [];
  readonly #usedFrom: number[] = [];
  readonly #usedUntil: number[] = [];

  /** Every use of a slot so far, from the `first` on; those that have not been given back last until now. */
  uses(endSeconds: number, first = 0): SlotUses {
    const numEnded = this.#usedClasses.length;
    const held = [...this.#holds.values()]
      .filter(({ startSeconds }) => startSeconds <= endSeconds)
      .map(({ slotClass, startSeconds }): SlotUse => ({ slotClass, startSeconds, endSeconds }));
    const ended = (_: unknown, index: number): SlotUse => ({
      slotClass: this.#usedClasses[index],
      startSeconds: this.#usedFrom[index],
      endSeconds: this.#usedUntil[index],
    });
    return {
      length: numEnded + held.length - first,
      toArray: () => [...Array.from({ length: numEnded }, ended), ...held].slice(first),
    };
  }

  forgetUses(): void {
    for (const column of [this.#usedClasses, this.#usedFrom, this.#usedUntil]) column.length = 0;
  }

  /** The slot that a task took and still holds. */
  slotOf(taskId: number): number {
    return this.#holdOf(taskId).slot;
  }

  /** The task that took a slot has started. */
  begin(taskId: number, startSeconds: number): void {
    this.#holdOf(taskId).startSeconds = startSeconds;
  }

  enqueue(slotClass: SlotClass, entry: Entry): void {
    this.#stateOf(slotClass).queue.push(entry);
  }

  /** Hands out what there is to those who come next and wait for nothing else. */
  grant(slotClass: SlotClass, onGranted: (entry: Entry) => void): void {
    const state = this.#stateOf(slotClass);
    while (state.queue[state.head]?.numBlockers === 0) {
      const entry = state.queue[state.head];
      const slot = takeSlot(entry.task, state.free);
      if (slot === waitsForSlot) break;
      this.#holds.set(entry.task.id, { slotClass, slot, startSeconds: Number.NaN });
      state.head += 1;
      onGranted(entry);
    }
    if (state.head >= longQueue || state.head === state.queue.length) {
      state.queue.splice(0, state.head);
      state.head = 0;
    }
  }

  /** Takes back the slot that a task took. @returns whose next taker may have it; null where it had needed none */
  free(taskId: number, endSeconds: number): SlotClass | null {
    const hold = this.#holds.get(taskId);
    if (!hold) throw new Error(`task ${taskId} holds no slot to give back`);
    const { slotClass, slot, startSeconds } = hold;
    this.#holds.delete(taskId);
    if (slot === needsNoSlot) return null;
    if (startSeconds <= endSeconds) {
      this.#usedClasses.push(slotClass);
      this.#usedFrom.push(startSeconds);
      this.#usedUntil.push(endSeconds);
    }
    this.#stateOf(slotClass).free.push(slot);
    return slotClass;
  }

  #holdOf(taskId: number): SlotHold {
    const hold = this.#holds.get(taskId);
    if (!hold) throw new Error(`task ${taskId} holds no slot`);
    return hold;
  }

  #stateOf(slotClass: SlotClass): SlotState<Entry> {
    let state = this.#slots.get(slotClass);
    if (!state) {
      const free = Array.from({ length: slotClass.count }, (_, index) => slotClass.count - 1 - index);
      state = { free, queue: [], head: 0 };
      this.#slots.set(slotClass, state);
    }
    return state;
  }
}

/** Takes a slot from the list. @returns {@link waitsForSlot} where there is none for the task */
function takeSlot({ chooseSlot }: Task, free: number[]): number {
  if (!chooseSlot) return free.pop() ?? waitsForSlot;
  const place = chooseSlot(free);
  return place < 0 ? place : free.splice(place, 1)[0];
}
