/** The tasks that place weights which stay: they pass through the same lanes and slots as the stream does. */

import { type GroupLayout, splitLayout } from './group-layout.js';
import type { MemoryPlan, ModelPlacement } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { draftPriority } from './proposals.js';
import { createTask, type SlotClass, type Task, type TaskHead } from './task.js';
import { loadOp, uploadOp } from './weight-ops.js';
import type { SlotOf } from './weight-stream.js';
import type { TaskIds } from './work.js';

/** Brings embedding, head, pinned and kept layers, and of the draft what does not come after prefill. */
export function residentTasks(
  plan: MemoryPlan,
  { draftPlacement }: OpenPolicy,
  ids: TaskIds,
  slotOf: SlotOf,
): Task[] {
  const head = { phase: 'prefill', pass: -1, batch: -1, priority: -1, rows: 0 } as const;
  const carrier = new Carrier(plan, ids, slotOf, head);
  carrier.toHost(plan.target, 'embedding', plan.target.embedding.byteOffset);
  carrier.bringOwn(plan.target);
  for (const [id, region] of plan.target.kept) carrier.toHost(plan.target, id, region.byteOffset);
  if (!plan.draft || !hasOwnWeights(plan)) return carrier.tasks;
  carrier.toHost(plan.draft, 'embedding', plan.draft.embedding.byteOffset);
  if (draftPlacement === 'start') carrier.bringOwn(plan.draft);
  return carrier.tasks;
}

/** Brings what a draft has in the memory that it computes on, where something else was before. */
export function draftTasks(plan: MemoryPlan, ids: TaskIds, slotOf: SlotOf, pass: number): Task[] {
  const { draft, routes } = plan;
  if (!draft) return [];
  const head = { phase: 'decode', pass, batch: -1, priority: draftPriority, rows: 0 } as const;
  const carrier = new Carrier(plan, ids, slotOf, head);
  if (hasOwnWeights(plan)) carrier.bringOwn(draft);
  const rotations = { ...head, id: ids.next(), lane: routes.drafting.lane, kind: 'draft' } as const;
  return [
    ...carrier.tasks,
    createTask(
      { ...rotations, name: 'rotations of the draft' },
      { after: [], createOp: () => ({ kind: 'write-rotations' }) },
    ),
  ];
}

/** A draft of the target's own layers has none. */
function hasOwnWeights({ draft, target }: MemoryPlan): boolean {
  return draft?.head !== target.head;
}

type CommonHead = Omit<TaskHead, 'id' | 'lane' | 'kind' | 'name'>;

/** Carries whole groups, through the slots in which experts are staged. */
class Carrier {
  readonly tasks: Task[] = [];
  readonly #plan: MemoryPlan;
  readonly #ids: TaskIds;
  readonly #slotOf: SlotOf;
  readonly #common: CommonHead;

  constructor(plan: MemoryPlan, ids: TaskIds, slotOf: SlotOf, common: CommonHead) {
    this.#plan = plan;
    this.#ids = ids;
    this.#slotOf = slotOf;
    this.#common = common;
  }

  /** A model's head and pinned layers. */
  bringOwn(model: ModelPlacement): void {
    this.#toDevice(model, 'head', model.head.byteOffset);
    for (const [id, region] of model.pinned) this.#toDevice(model, id, region.byteOffset);
  }

  toHost({ layouts }: ModelPlacement, group: string, target: number): void {
    this.#load(layouts.get(group) as GroupLayout, undefined, () => target);
  }

  #toDevice({ layouts, formats }: ModelPlacement, group: string, target: number): void {
    const { slots, routes } = this.#plan;
    const { slotClass, regions } = slots.host.expert;
    const [{ lane }] = routes.way('host', 'device');
    const layout = layouts.get(group) as GroupLayout;
    for (const piece of splitLayout(layout, regions[0].byteLength, formats)) {
      const id = this.#load(piece, slotClass, (slot) => regions[slot].byteOffset);
      const head: TaskHead = {
        ...this.#common,
        id: this.#ids.next(),
        lane,
        kind: 'upload',
        name: `upload ${group}`,
      };
      this.tasks.push(
        createTask(head, {
          ...{ after: [id], bytes: layout.group.storedBytes, frees: [id] },
          createOp: () => uploadOp(piece, regions[this.#slotOf(id)].byteOffset, target),
        }),
      );
    }
  }

  #load(layout: GroupLayout, takes: SlotClass | undefined, addressOf: (slot: number) => number): number {
    const [{ lane }] = this.#plan.routes.way('disk', 'host');
    const name = `load ${layout.group.id}`;
    const task = createTask(
      { ...this.#common, id: this.#ids.next(), lane, kind: 'load', name },
      { after: [], bytes: layout.stagedBytes, takes, createOp: (slot) => loadOp(layout, addressOf(slot)) },
    );
    this.tasks.push(task);
    return task.id;
  }
}
