/** Who holds which slot, and who waits for one. */

import { needsNoSlot, type SlotClass, type Task, waitsForSlot } from '../schedule/task.js';

/** A slot's time from the start of the task that took it until it was given back. */
export interface SlotUse {
  readonly slotClass: SlotClass;
  readonly startSeconds: number;
  readonly endSeconds: number;
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
  readonly #uses: SlotUse[] = [];

  /** Every use of a slot so far; those that have not been given back last until now. */
  uses(endSeconds: number): readonly SlotUse[] {
    const held = [...this.#holds.values()].filter(({ startSeconds }) => startSeconds <= endSeconds);
    return [
      ...this.#uses,
      ...held.map(({ slotClass, startSeconds }) => ({ slotClass, startSeconds, endSeconds })),
    ];
  }

  forgetUses(): void {
    this.#uses.length = 0;
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
    if (startSeconds <= endSeconds) this.#uses.push({ slotClass, startSeconds, endSeconds });
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
