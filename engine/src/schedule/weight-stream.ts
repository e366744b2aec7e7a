/**
 * The stream of weights: pass after pass the same groups in the same order, hop by hop from disk to the device, in
 * most machines over host memory, as far ahead of the computation as there are slots. Because the order never changes,
 * the next pass's first groups can be on their way while this pass is still computing or the draft is proposing.
 */

import type { WeightGroup } from '../model/types.js';
import { type Hop, kindOfHop } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { type GroupLayout, splitLayout } from './group-layout.js';
import type { MemoryPlan, ModelPlacement } from './memory-plan.js';
import type { LoadOp, UploadOp } from './ops.js';
import type { OpenPolicy } from './policy.js';
import { createTask, type OpenTask, openTask, type SlotClass, type Task, type TaskHead } from './task.js';
import { hopBytes, type StreamedKind, type WeightWays, waysOfWeights } from './weight-way.js';
import type { TaskIds } from './work.js';

/** Finds the slot that a task took; known from its start until its slot is freed. */
export type SlotOf = (taskId: number) => number;

/** When a group is brought outside the regular stream: after these tasks, unless it turns out that nobody needs it. */
export interface Condition {
  readonly after: readonly number[];
  readonly isUnused?: () => boolean;
  /** The device does not need it: the host computes with the staged weights. */
  readonly isForHost?: () => boolean;
}

/** The tasks that bring one group: the load is null when the stored weights are in host memory already. */
export interface Arrival {
  readonly load: number | null;
  readonly upload: number;
}

export class WeightStream {
  readonly #plan: MemoryPlan;
  readonly #policy: OpenPolicy;
  readonly #target: ModelPlacement;
  readonly #ids: TaskIds;
  readonly #slotOf: SlotOf;
  readonly #ways: WeightWays;
  readonly #arrivals = new Map<number, Map<string, Arrival>>();
  #nextPass = 0;

  constructor(plan: MemoryPlan, policy: OpenPolicy, ids: TaskIds, slotOf: SlotOf) {
    this.#plan = plan;
    this.#policy = policy;
    this.#target = plan.target;
    this.#ids = ids;
    this.#slotOf = slotOf;
    this.#ways = waysOfWeights(plan, policy);
  }

  /**
   * The tasks that bring, ahead of their use, the weights of all passes up to `pass` that have not been asked for
   * yet. What is not known to be used, or comes only on demand, is left to {@link bring}.
   */
  tasksUpTo(pass: number, phase: PhaseName): Task[] {
    const { streaming, projections, experts: which } = this.#policy;
    const tasks: Task[] = [];
    if (streaming === 'on-demand') return tasks;
    for (; this.#nextPass <= pass; this.#nextPass += 1)
      for (const { attention, experts } of this.#target.checkpoint.layers) {
        if (projections === 'device') tasks.push(...this.bring(this.#nextPass, phase, attention));
        if (which === 'all')
          for (const expert of experts) tasks.push(...this.bring(this.#nextPass, phase, expert));
      }
    return tasks;
  }

  /** The tasks that bring a group for a pass; none when it is pinned or on its way. */
  bring(pass: number, phase: PhaseName, group: WeightGroup, condition?: Condition): Task[] {
    if (this.#target.pinned.has(group.id) || this.arrival(pass, group)) return [];
    return this.#bring(group, pass, phase, condition);
  }

  /** How a group arrives for a pass; null when it is pinned. Its last user frees {@link heldSlots}. */
  arrival(pass: number, group: WeightGroup): Arrival | null {
    return this.#arrivals.get(pass)?.get(group.id) ?? null;
  }

  /** Tasks whose slots the group's last user in a pass gives back. */
  heldSlots(pass: number, group: WeightGroup): readonly number[] {
    const arrival = this.arrival(pass, group);
    if (!arrival) return [];
    const { load, upload } = arrival;
    if (this.#policy.streaming === 'on-demand') return [load ?? upload];
    return this.#policy.hostExpertRows > 0 && group.kind === 'expert' && load !== null
      ? [load, upload]
      : [upload];
  }

  /** Where the group lies in device memory for a pass; asked when one of its users starts. */
  addressOf(pass: number, group: WeightGroup): number {
    const pinned = this.#target.pinned.get(group.id);
    if (pinned) return pinned.byteOffset;
    const arrival = this.arrival(pass, group);
    if (!arrival) throw new Error(`${group.id} was not asked for in pass ${pass}`);
    const { device } = this.#slotsFor(group);
    return device.regions[this.#slotOf(this.#deviceSlotHolder(arrival))].byteOffset;
  }

  /** Where the group lies in host memory as stored, for a pass; asked when the host computes with it. */
  stagedAddressOf(pass: number, group: WeightGroup): number {
    const kept = this.#target.kept.get(group.id);
    if (kept) return kept.byteOffset;
    return this.#stagedAddress(group, this.arrival(pass, group)?.load ?? null);
  }

  /** The slot that a task took and still holds. */
  slotOf(task: number): number {
    return this.#slotOf(task);
  }

  /** Forgets the arrivals of a pass that is over. */
  forget(pass: number): void {
    this.#arrivals.delete(pass);
  }

  #bring(group: WeightGroup, pass: number, phase: PhaseName, condition?: Condition): Task[] {
    const { after = [], isUnused, isForHost } = condition ?? {};
    const way = this.#target.kept.has(group.id) ? this.#ways.kept : this.#ways[streamedKind(group)];
    const load = way.length > 1 ? this.#load(way[0], group, pass, phase, after) : null;
    const upload = this.#upload(way[way.length - 1], group, pass, phase, load?.id ?? null, after);
    if (load) load.isIdle = isUnused;
    upload.isIdle = isForHost ? () => (isUnused?.() ?? false) || isForHost() : isUnused;
    const arrivals = this.#arrivals.get(pass) ?? new Map<string, Arrival>();
    this.#arrivals.set(pass, arrivals.set(group.id, { load: load?.id ?? null, upload: upload.id }));
    return load ? [load, upload] : [upload];
  }

  /** The hop that ends in host memory. */
  #load(hop: Hop, group: WeightGroup, pass: number, phase: PhaseName, after: readonly number[]): OpenTask {
    const layout = this.#layoutOf(group);
    const { host, device } = this.#slotsFor(group);
    const isOnDemand = this.#policy.streaming === 'on-demand';
    const load = openTask(this.#head(hop, group, pass, phase), after, (slot) =>
      loadOp(layout, host.regions[isOnDemand ? 0 : slot].byteOffset),
    );
    load.bytes = layout.stagedBytes;
    load.isPageable = this.#isPageable(group);
    load.takes = isOnDemand ? device.slotClass : host.slotClass;
    return load;
  }

  /** The hop that ends on the device. */
  #upload(
    hop: Hop,
    group: WeightGroup,
    pass: number,
    phase: PhaseName,
    load: number | null,
    after: readonly number[],
  ): OpenTask {
    const { hostShare, hostExpertRows, streaming } = this.#policy;
    const isExpert = group.kind === 'expert';
    const isOnDemand = streaming === 'on-demand';
    const isDirect = hop.from === 'disk';
    const upload = openTask(
      this.#head(hop, group, pass, phase),
      load === null ? after : [load],
      isDirect
        ? () => ({ kind: 'imagined' })
        : () =>
            uploadOp(this.#layoutOf(group), this.#stagedAddress(group, load), this.addressOf(pass, group)),
    );
    upload.bytes = hopBytes(hop, this.#layoutOf(group), isExpert && phase === 'decode' ? 1 - hostShare : 1);
    upload.isPageable = this.#isPageable(group);
    if (load === null || !isOnDemand) upload.takes = this.#slotsFor(group).device.slotClass;
    const keepsStage = hostExpertRows > 0 && isExpert;
    if (load !== null && !isOnDemand && !keepsStage) upload.frees = [load];
    return upload;
  }

  #isPageable({ layer }: WeightGroup): boolean {
    return layer >= this.#policy.pageLocked * this.#target.checkpoint.layers.length;
  }

  /** Weights pass in the order of the layers; the lanes that they cross see nothing else that is as urgent. */
  #head({ lane, from }: Hop, { id: group, layer }: WeightGroup, pass: number, phase: PhaseName): TaskHead {
    const priority = pass * this.#target.checkpoint.layers.length + layer;
    const id = this.#ids.next();
    const kind = kindOfHop(from);
    return { id, lane, kind, name: `${kind} ${group}`, phase, pass, batch: -1, priority, rows: 0 };
  }

  #layoutOf({ id }: WeightGroup): GroupLayout {
    return this.#target.layouts.get(id) as GroupLayout;
  }

  #stagedAddress(group: WeightGroup, load: number | null): number {
    const kept = this.#target.kept.get(group.id);
    if (kept) return kept.byteOffset;
    const { regions } = this.#slotsFor(group).host;
    return regions[this.#policy.streaming === 'on-demand' ? 0 : this.#slotOf(load as number)].byteOffset;
  }

  /** On demand, one slot serves a group from its load on. */
  #deviceSlotHolder({ load, upload }: Arrival): number {
    return this.#policy.streaming === 'on-demand' ? (load ?? upload) : upload;
  }

  #slotsFor(group: WeightGroup) {
    const kind = streamedKind(group);
    return { host: this.#plan.hostSlots[kind], device: this.#plan.deviceSlots[kind] };
  }
}

function streamedKind({ kind }: WeightGroup): StreamedKind {
  if (kind !== 'attention' && kind !== 'expert') throw new Error(`${kind} weights are resident`);
  return kind;
}

/**
 * The tasks that place the weights which stay: embedding, head, pinned and kept layers, the draft. They pass through
 * the same lanes and slots as the stream does.
 */
export function residentTasks(plan: MemoryPlan, ids: TaskIds, slotOf: SlotOf): Task[] {
  const tasks: Task[] = [];
  const [toStage] = plan.routes.way('disk', 'host');
  const [fromStage] = plan.routes.way('host', 'device');
  const common = { phase: 'prefill', pass: -1, batch: -1, priority: -1, rows: 0 } as const;
  const load = (layout: GroupLayout, takes: SlotClass | undefined, addressOf: (slot: number) => number) => {
    const task = createTask(
      { ...common, id: ids.next(), lane: toStage.lane, kind: 'load', name: `load ${layout.group.id}` },
      { after: [], bytes: layout.stagedBytes, takes, createOp: (slot) => loadOp(layout, addressOf(slot)) },
    );
    tasks.push(task);
    return task;
  };
  const toHost = (layout: GroupLayout, target: number) => load(layout, undefined, () => target);
  const toDevice = (layout: GroupLayout, target: number) => {
    const staging = plan.hostSlots.expert;
    for (const piece of splitLayout(layout, staging.regions[0].byteLength, plan.target.formats)) {
      const { id } = load(piece, staging.slotClass, (slot) => staging.regions[slot].byteOffset);
      tasks.push(
        createTask(
          {
            ...common,
            id: ids.next(),
            lane: fromStage.lane,
            kind: 'upload',
            name: `upload ${layout.group.id}`,
          },
          {
            after: [id],
            bytes: layout.group.storedBytes,
            frees: [id],
            createOp: () => uploadOp(piece, staging.regions[slotOf(id)].byteOffset, target),
          },
        ),
      );
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

function loadOp({ ranges }: GroupLayout, hostBase: number): LoadOp {
  return {
    kind: 'load',
    ranges: ranges.map(({ path, fileOffset, byteLength, stagedOffset }) => ({
      ...{ path, fileOffset, byteLength },
      hostOffset: hostBase + stagedOffset,
    })),
  };
}

function uploadOp({ tensors }: GroupLayout, hostBase: number, deviceBase: number): UploadOp {
  return {
    kind: 'upload',
    pieces: tensors.map(({ dtype, count, layout, stagedOffset, deviceOffset }) => ({
      ...{ dtype, count, layout },
      source: hostBase + stagedOffset,
      target: deviceBase + deviceOffset,
    })),
  };
}
