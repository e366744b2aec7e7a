/**
 * The stream of weights: pass after pass the same groups in the same order, from disk over host memory to the
 * device, as far ahead of the computation as there are slots. Because the order never changes, the next pass's
 * first groups can be on their way while this pass is still computing or the draft is proposing.
 */

import type { WeightGroup } from '../model/types.js';
import type { PhaseName } from '../trace/types.js';
import type { GroupLayout } from './group-layout.js';
import type { LoadOp, UploadOp } from './ops.js';
import type { MemoryPlan, ModelPlacement } from './placement.js';
import type { SlotClass, Task } from './task.js';
import type { TaskIds } from './work.js';

/** Finds the slot that a task took; known from its start until its slot is freed. */
export type SlotOf = (taskId: number) => number;

export class WeightStream {
  readonly #plan: MemoryPlan;
  readonly #target: ModelPlacement;
  readonly #ids: TaskIds;
  readonly #slotOf: SlotOf;
  readonly #arrivals = new Map<string, number>();
  #streamedGroups = 0;
  #nextPass = 0;

  constructor(plan: MemoryPlan, ids: TaskIds, slotOf: SlotOf) {
    this.#plan = plan;
    this.#target = plan.target;
    this.#ids = ids;
    this.#slotOf = slotOf;
  }

  /** The tasks that bring the weights of all passes up to `pass` that have not been asked for yet. */
  tasksUpTo(pass: number, phase: PhaseName): Task[] {
    const tasks: Task[] = [];
    for (; this.#nextPass <= pass; this.#nextPass += 1)
      for (const { attention, experts } of this.#target.checkpoint.layers)
        for (const group of [attention, ...experts])
          if (!this.#target.pinned.has(group.id)) tasks.push(...this.#bring(group, this.#nextPass, phase));
    return tasks;
  }

  /** The upload that brings a group for a pass, whose slot the group's last user frees; null when it is pinned. */
  arrival(pass: number, group: WeightGroup): number | null {
    return this.#arrivals.get(`${pass}/${group.id}`) ?? null;
  }

  /** Where the group lies in device memory for a pass; asked when one of its users starts. */
  addressOf(pass: number, group: WeightGroup): number {
    const pinned = this.#target.pinned.get(group.id);
    if (pinned) return pinned.byteOffset;
    const arrival = this.arrival(pass, group);
    if (arrival === null) throw new Error(`${group.id} was not asked for in pass ${pass}`);
    return this.#slotsFor(group).device.regions[this.#slotOf(arrival)].byteOffset;
  }

  /** Forgets the arrivals of a pass that is over. */
  forget(pass: number): void {
    for (const { attention, experts } of this.#target.checkpoint.layers)
      for (const group of [attention, ...experts]) this.#arrivals.delete(`${pass}/${group.id}`);
  }

  #bring(group: WeightGroup, pass: number, phase: PhaseName): Task[] {
    const layout = this.#target.layouts.get(group.id) as GroupLayout;
    const slots = this.#slotsFor(group);
    const priority = this.#streamedGroups;
    this.#streamedGroups += 1;
    const common = { phase, pass, batch: -1, priority, flops: 0, rows: 0 } as const;

    const kept = this.#target.kept.get(group.id);
    const load: Task | null = kept
      ? null
      : {
          ...common,
          id: this.#ids.next(),
          lane: 'disk',
          kind: 'load',
          name: `load ${group.id}`,
          after: [],
          bytes: layout.stagedBytes,
          takes: slots.host.slotClass,
          createOp: (slot) => loadOp(layout, slots.host.regions[slot].byteOffset),
        };
    const upload: Task = {
      ...common,
      id: this.#ids.next(),
      lane: 'link',
      kind: 'upload',
      name: `upload ${group.id}`,
      after: load ? [load.id] : [],
      bytes: group.storedBytes,
      takes: slots.device.slotClass,
      frees: load ? [load.id] : [],
      createOp: (slot) => {
        const source = kept?.byteOffset ?? slots.host.regions[this.#slotOf((load as Task).id)].byteOffset;
        return uploadOp(layout, source, slots.device.regions[slot].byteOffset);
      },
    };
    this.#arrivals.set(`${pass}/${group.id}`, upload.id);
    return load ? [load, upload] : [upload];
  }

  #slotsFor({ kind }: WeightGroup) {
    if (kind !== 'attention' && kind !== 'expert') throw new Error(`${kind} weights are resident`);
    return { host: this.#plan.hostSlots[kind], device: this.#plan.deviceSlots[kind] };
  }
}

/**
 * The tasks that place the weights which stay: embedding, head, pinned and kept layers, the draft. They pass through
 * the same lanes and slots as the stream does.
 */
export function residentTasks(plan: MemoryPlan, ids: TaskIds, slotOf: SlotOf): Task[] {
  const tasks: Task[] = [];
  const common = { phase: 'prefill', pass: -1, batch: -1, priority: -1, flops: 0, rows: 0 } as const;
  const load = (layout: GroupLayout, takes: SlotClass | undefined, addressOf: (slot: number) => number) => {
    const task: Task = {
      ...common,
      id: ids.next(),
      lane: 'disk',
      kind: 'load',
      name: `load ${layout.group.id}`,
      after: [],
      bytes: layout.stagedBytes,
      ...(takes ? { takes } : {}),
      createOp: (slot) => loadOp(layout, addressOf(slot)),
    };
    tasks.push(task);
    return task;
  };
  const toHost = (layout: GroupLayout, target: number) => load(layout, undefined, () => target);
  const toDevice = (layout: GroupLayout, target: number) => {
    const staging = plan.hostSlots.expert;
    for (const piece of splitLayout(layout, staging.regions[0].byteLength)) {
      const { id } = load(piece, staging.slotClass, (slot) => staging.regions[slot].byteOffset);
      tasks.push({
        ...common,
        id: ids.next(),
        lane: 'link',
        kind: 'upload',
        name: `upload ${layout.group.id}`,
        after: [id],
        bytes: layout.group.storedBytes,
        frees: [id],
        createOp: () => uploadOp(piece, staging.regions[slotOf(id)].byteOffset, target),
      });
    }
  };
  for (const model of plan.draft ? [plan.target, plan.draft] : [plan.target]) {
    const layoutOf = (id: string) => model.layouts.get(id) as GroupLayout;
    toHost(layoutOf('embedding'), model.embedding.byteOffset);
    toDevice(layoutOf('head'), model.head.byteOffset);
    for (const [id, region] of model.pinned) toDevice(layoutOf(id), region.byteOffset);
    for (const [id, region] of model.kept) toHost(layoutOf(id), region.byteOffset);
  }
  return tasks;
}

/** The layout in pieces that fit a staging buffer; one piece when it fits as it is. */
function splitLayout(layout: GroupLayout, stagingBytes: number): GroupLayout[] {
  if (layout.stagedBytes <= stagingBytes) return [layout];
  return layout.group.tensors.flatMap(({ ref }, index) => {
    const tensor = layout.tensors[index];
    const elementBytes = ref.byteLength / ref.numElements;
    const block = 4096; // borders that direct reads accept, one block spare at either end
    const pieceElements = Math.floor((stagingBytes - 2 * block) / elementBytes);
    if (pieceElements < 1)
      throw new Error(`a staging buffer of ${stagingBytes} bytes is too small to split into`);
    return Array.from({ length: Math.ceil(ref.numElements / pieceElements) }, (_, piece): GroupLayout => {
      const first = piece * pieceElements;
      const count = Math.min(pieceElements, ref.numElements - first);
      const start = ref.fileOffset + first * elementBytes;
      const fileOffset = Math.floor(start / block) * block;
      const byteLength = Math.ceil((start + count * elementBytes) / block) * block - fileOffset;
      return {
        ...layout,
        ranges: [{ path: ref.path, fileOffset, byteLength, stagedOffset: 0 }],
        stagedBytes: byteLength,
        tensors: [
          {
            ...tensor,
            count,
            stagedOffset: start - fileOffset,
            deviceOffset: tensor.deviceOffset + first * 4,
          },
        ],
      };
    });
  });
}

function loadOp({ ranges }: GroupLayout, hostBase: number): LoadOp {
  return {
    kind: 'load',
    ranges: ranges.map(({ path, fileOffset, byteLength, stagedOffset }) => ({
      ...{ path, fileOffset, byteLength },
      hostOffset: hostBase + stagedOffset,
    })),
  };
}

function uploadOp(layout: GroupLayout, hostBase: number, deviceBase: number): UploadOp {
  return {
    kind: 'upload',
    bytes: layout.stagedBytes,
    pieces: layout.tensors.map(({ dtype, count, stagedOffset, deviceOffset }) => ({
      ...{ dtype, count },
      source: hostBase + stagedOffset,
      target: deviceBase + deviceOffset,
    })),
  };
}
