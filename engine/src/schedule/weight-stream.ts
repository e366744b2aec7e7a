/**
 * The stream of weights: pass after pass the same groups in the same order, hop by hop from disk to the device, in
 * most machines over host memory, as far ahead of the computation as there are slots. Because the order never changes,
 * the next pass's first groups can be on their way while this pass is still computing or the draft is proposing.
 */

import type { ExpertWeights } from '../machine/device.js';
import type { Region } from '../machine/pool.js';
import type { WeightGroup } from '../model/types.js';
import type { ExpertReport } from '../speculate/expert-counter.js';
import { type Hop, kindOfHop, type MemoryName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { givenShares, type HostShares } from './balance.js';
import { type Claim, ExpertCache, keepsExperts } from './expert-cache.js';
import type { GroupLayout } from './group-layout.js';
import type { MemoryPlan, ModelPlacement, Slots, StreamedKind } from './memory-plan.js';
import type { LoadOp, UploadOp } from './ops.js';
import type { OpenPolicy } from './policy.js';
import { type SharedExpert, shareExpert, sharesExperts } from './shared-experts.js';
import { type OpenTask, openTask, type Task, type TaskHead } from './task.js';
import { hopBytes, type WeightHop, type WeightWays, waysOfWeights } from './weight-way.js';
import { expertInHost, type TaskIds } from './work.js';

/** Finds the slot that a task took; known from its start until its slot is freed. */
export type SlotOf = (taskId: number) => number;

/** When a group is brought outside the regular stream: after these tasks, unless it turns out that nobody needs it. */
export interface Condition {
  readonly after: readonly number[];
  readonly isUnused?: () => boolean;
  /** The device does not need it: the host computes with the staged weights. */
  readonly isForHost?: () => boolean;
}

/** The tasks that bring one group: the load ends in host memory, null where that is not on the way or the start. */
export interface Arrival {
  readonly load: number | null;
  readonly upload: number;
  /** The one that took the place on the device. */
  readonly holder: number;
  /** Only the device's share of it goes to the device. */
  readonly isShared: boolean;
}

export class WeightStream {
  readonly #plan: MemoryPlan;
  readonly #policy: OpenPolicy;
  readonly #target: ModelPlacement;
  readonly #ids: TaskIds;
  readonly #slotOf: SlotOf;
  readonly #ways: WeightWays;
  readonly #arrivals = new Map<number, Map<string, Arrival>>();
  readonly #readsHost: (region: Region) => boolean;
  readonly #inPlace = new Map<string, ExpertWeights | null>();
  readonly #sharesExperts: boolean;
  /** Null where an expert is dropped when it has been used. */
  readonly #cache: ExpertCache | null;
  readonly #hostShares: HostShares;
  /** By group. */
  readonly #shares = new Map<string, SharedExpert>();
  #nextPass = 0;

  /**
   * @param readsHost whether the device's kernels read what lies somewhere in host memory
   * @param hostShares what the host computes of each group in decode
   */
  constructor(
    plan: MemoryPlan,
    policy: OpenPolicy,
    ids: TaskIds,
    slotOf: SlotOf,
    readsHost: (region: Region) => boolean = () => true,
    hostShares: HostShares = givenShares(policy),
  ) {
    this.#hostShares = hostShares;
    this.#readsHost = readsHost;
    this.#plan = plan;
    this.#policy = policy;
    this.#target = plan.target;
    this.#ids = ids;
    this.#slotOf = slotOf;
    this.#ways = waysOfWeights(plan, policy);
    this.#sharesExperts = sharesExperts({ policy, formats: plan.target.formats });
    this.#cache = keepsExperts(policy) ? new ExpertCache(policy) : null;
  }

  /** What keeping experts saved so far; null where none is kept. */
  get experts(): ExpertReport | null {
    return this.#cache?.counter.report() ?? null;
  }

  /** A layer's router has chosen these of its groups. */
  need(groups: readonly WeightGroup[]): void {
    this.#cache?.need(groups.map(({ id }) => id));
  }

  /** Something else has been in the places where weights are staged. */
  forgetStaged(): void {
    this.#cache?.forgetStaged();
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
    if (this.inPlace(phase, group)) return [];
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
    const { load, holder } = arrival;
    if (this.#policy.streaming === 'on-demand') return [holder];
    return this.#keepsStage(group, arrival) && load !== null ? [load, holder] : [holder];
  }

  /** Weights that the host may compute with stay staged until their last user has ended. */
  #keepsStage({ kind }: WeightGroup, { isShared }: Pick<Arrival, 'isShared'>): boolean {
    return isShared || (kind === 'expert' && this.#policy.hostExpertRows > 0);
  }

  /** What host and device compute of a group that comes in parts; null of one that comes as a whole, or not at all. */
  shareOf(pass: number, group: WeightGroup): SharedExpert | null {
    return this.arrival(pass, group)?.isShared ? this.#share(group) : null;
  }

  #share(group: WeightGroup): SharedExpert {
    const { hiddenSize } = this.#target.checkpoint.spec;
    const shared =
      this.#shares.get(group.id) ?? shareExpert(this.#layoutOf(group), hiddenSize, this.#hostShares(group));
    this.#shares.set(group.id, shared);
    return shared;
  }

  /** What of a group's products the host computes beside the device. */
  hostShareOf(phase: PhaseName, group: WeightGroup): number {
    return phase === 'decode' ? this.#hostShares(group) : 0;
  }

  /** Where the group lies in device memory for a pass; asked when one of its users starts. */
  addressOf(pass: number, group: WeightGroup): number {
    const pinned = this.#target.pinned.get(group.id);
    if (pinned) return pinned.byteOffset;
    const arrival = this.arrival(pass, group);
    if (!arrival) throw new Error(`${group.id} was not asked for in pass ${pass}`);
    return this.#slotsFor(group, 'device').regions[this.#slotOf(arrival.holder)].byteOffset;
  }

  /** The group where it lies in host memory, where kernels read it there; null where it has to cross. */
  inPlace(phase: PhaseName, group: WeightGroup): ExpertWeights | null {
    if (this.#policy.keptExperts === 'copied' || phase === 'prefill' || group.kind !== 'expert') return null;
    let found = this.#inPlace.get(group.id);
    if (found === undefined) {
      const kept = this.#target.kept.get(group.id);
      found = kept && this.#readsHost(kept) ? expertInHost(this.#layoutOf(group), kept.byteOffset) : null;
      this.#inPlace.set(group.id, found);
    }
    return found;
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
    const { isUnused, isForHost } = condition ?? {};
    const way = this.#ways[this.#target.kept.has(group.id) ? 'kept' : streamedKind(group)];
    const skips = isForHost && (() => (isUnused?.() ?? false) || isForHost());
    const claim = this.#claim(group, way, pass, phase, condition);
    const after = claim ? [claim.task.id] : (condition?.after ?? []);
    const tasks: OpenTask[] = [];
    let load: number | null = null;
    const isShared = this.#sharesExperts && phase === 'decode' && group.kind === 'expert';
    for (const hop of way) {
      const previous = tasks.length > 0 ? tasks[tasks.length - 1].id : null;
      const follows = previous === null ? after : [previous];
      const task = this.#hop(hop, group, pass, phase, follows, previous, load, isShared);
      task.isIdle = hop.isPastHost ? (skips ?? isUnused) : isUnused;
      claim?.govern(task, hop);
      if (hop.to === 'host') load = task.id;
      tasks.push(task);
    }
    const [{ id: first }] = tasks;
    const upload = tasks[tasks.length - 1].id;
    // On demand, one slot serves a group from its first hop on.
    const holder = claim?.task.id ?? (this.#policy.streaming === 'on-demand' ? first : upload);
    const arrivals = this.#arrivals.get(pass) ?? new Map<string, Arrival>();
    this.#arrivals.set(pass, arrivals.set(group.id, { load, upload, holder, isShared }));
    return claim ? [claim.task, ...tasks] : tasks;
  }

  /** Takes a place for an expert that may lie there already; null where it is brought whatever lies there. */
  #claim(
    group: WeightGroup,
    way: readonly WeightHop[],
    pass: number,
    phase: PhaseName,
    { after = [], isForHost }: Partial<Condition> = {},
  ): Claim | null {
    if (!this.#cache || group.kind !== 'expert') return null;
    const head = { id: this.#ids.next(), pass, phase, priority: pass };
    const layout = this.#layoutOf(group);
    const { slotClass } = this.#slotsFor(group, 'device');
    return this.#cache.claim(head, after, slotClass, { layout, phase, way, isForHost });
  }

  /** @param previous the hop before, and `load` the one that ended in host memory; null where there was none */
  #hop(
    hop: WeightHop,
    group: WeightGroup,
    pass: number,
    phase: PhaseName,
    after: readonly number[],
    previous: number | null,
    load: number | null,
    isShared: boolean,
  ): OpenTask {
    const { streaming } = this.#policy;
    const isOnDemand = streaming === 'on-demand';
    const share = 1 - this.hostShareOf(phase, group);
    const task = openTask(
      this.#head(hop, group, pass, phase),
      after,
      this.#opOf(hop, group, pass, load, isShared),
    );
    task.bytes = hopBytes(hop, this.#layoutOf(group), share);
    task.isPageable = this.#isPageable(group);
    if (previous === null || !isOnDemand)
      task.takes = this.#slotsFor(group, isOnDemand ? 'device' : hop.to).slotClass;
    const keepsStage = hop.from === 'host' && this.#keepsStage(group, { isShared });
    if (previous !== null && !isOnDemand && !keepsStage) task.frees = [previous];
    return task;
  }

  /** What the local machine does; other ways are for virtual machines. */
  #opOf(
    { from, to }: Hop,
    group: WeightGroup,
    pass: number,
    load: number | null,
    isShared: boolean,
  ): Task['createOp'] {
    const layout = this.#layoutOf(group);
    if (from === 'disk' && to === 'host') {
      const { regions } = this.#slotsFor(group, 'host');
      const isOnDemand = this.#policy.streaming === 'on-demand';
      return (slot) => loadOp(layout, regions[isOnDemand ? 0 : slot].byteOffset);
    }
    if (from !== 'host' || to !== 'device') return () => ({ kind: 'imagined' });
    const crossing = isShared ? this.#share(group).device : layout;
    return () => uploadOp(crossing, this.#stagedAddress(group, load), this.addressOf(pass, group));
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
    const { regions } = this.#slotsFor(group, 'host');
    return regions[this.#policy.streaming === 'on-demand' ? 0 : this.#slotOf(load as number)].byteOffset;
  }

  #slotsFor(group: WeightGroup, memory: MemoryName): Slots {
    return this.#plan.slots[memory][streamedKind(group)];
  }
}

function streamedKind({ kind }: WeightGroup): StreamedKind {
  if (kind !== 'attention' && kind !== 'expert') throw new Error(`${kind} weights are resident`);
  return kind;
}

export function loadOp({ ranges }: GroupLayout, hostBase: number): LoadOp {
  return {
    kind: 'load',
    ranges: ranges.map(({ path, fileOffset, byteLength, stagedOffset }) => ({
      ...{ path, fileOffset, byteLength },
      hostOffset: hostBase + stagedOffset,
    })),
  };
}

export function uploadOp(
  { pieces }: Pick<GroupLayout, 'pieces'>,
  hostBase: number,
  deviceBase: number,
): UploadOp {
  return {
    kind: 'upload',
    pieces: pieces.map(({ dtype, count, layout, runs, stagedOffset, deviceOffset }) => ({
      ...{ dtype, count, layout, runs },
      source: hostBase + stagedOffset,
      target: deviceBase + deviceOffset,
    })),
  };
}
