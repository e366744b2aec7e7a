/**
 * The stream of weights: pass after pass the same groups in the same order, hop by hop from disk to the device, in
 * most machines over host memory, as far ahead of the computation as there are slots. Because the order never changes,
 * the next pass's first groups can be on their way while this pass is still computing or the draft is proposing.
 */

import type { WeightGroup } from '../model/types.js';
import type { ExpertReport } from '../speculate/expert-counter.js';
import { type Hop, kindOfHop, type MemoryName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import type { Arrival, Carriage, Condition } from './arrival.js';
import { givenShares, type HostShares } from './balance.js';
import { type Ahead, type Claim, ExpertCache, followsRouters } from './expert-cache.js';
import type { GroupLayout } from './group-layout.js';
import { InPlace } from './in-place.js';
import type { MemoryPlan, ModelPlacement, Slots, StreamedKind } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { type SharedExpert, shareExpert, sharesExperts } from './shared-experts.js';
import { type OpenTask, openTask, staysThere, type Task, type TaskHead } from './task.js';
import { loadOp, uploadOp } from './weight-ops.js';
import { hopBytes, type WeightHop, type WeightWays, waysOfWeights } from './weight-way.js';
import type { TaskIds } from './work.js';

/** Finds the slot that a task took; known from its start until its slot is freed. */
export type SlotOf = (taskId: number) => number;

export class WeightStream {
  readonly #plan: MemoryPlan;
  readonly #policy: OpenPolicy;
  readonly #target: ModelPlacement;
  readonly #ids: TaskIds;
  readonly #slotOf: SlotOf;
  readonly #ways: WeightWays;
  readonly #arrivals = new Map<number, Map<string, Arrival>>();
  readonly #inPlace: InPlace;
  readonly #sharesExperts: boolean;
  /** Null where an expert is dropped when it has been used, and none comes before its router has chosen. */
  readonly #cache: ExpertCache | null;
  readonly #hostShares: HostShares;
  /** By group. */
  readonly #shares = new Map<string, SharedExpert>();
  #nextPass = 0;

  /** @param hostShares what the host computes of each group in decode */
  constructor(
    plan: MemoryPlan,
    policy: OpenPolicy,
    ids: TaskIds,
    slotOf: SlotOf,
    hostShares: HostShares = givenShares(policy),
  ) {
    this.#hostShares = hostShares;
    this.#inPlace = new InPlace(policy, plan.target);
    this.#plan = plan;
    this.#policy = policy;
    this.#target = plan.target;
    this.#ids = ids;
    this.#slotOf = slotOf;
    this.#ways = waysOfWeights(plan, policy);
    this.#sharesExperts = sharesExperts({ policy, formats: plan.target.formats });
    this.#cache = followsRouters(policy) ? new ExpertCache(policy) : null;
  }

  /** What keeping experts saved so far; null where none is kept. */
  get experts(): ExpertReport | null {
    return this.#cache?.counter.report() ?? null;
  }

  /** A layer's router has chosen these of its groups. */
  need(layer: number, groups: readonly WeightGroup[]): void {
    this.#cache?.need(
      layer,
      groups.map(({ id }) => id),
    );
  }

  /** Whether an expert stays on the device, or has come or comes there ahead. */
  holds({ id }: WeightGroup): boolean {
    return this.#target.pinned.has(id) || (this.#cache?.holds(id) ?? false);
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
    const { load, holder, staysStaged } = arrival;
    if (this.#policy.streaming === 'on-demand') return [holder];
    return staysStaged && load !== null ? [load, holder] : [holder];
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
    return phase === 'decode' && !this.#plan.held?.ids.has(group.id) ? this.#hostShares(group) : 0;
  }

  /** Where the group lies in device memory for a pass; asked when one of its users starts. */
  addressOf(pass: number, group: WeightGroup): number {
    const pinned = this.#target.pinned.get(group.id);
    if (pinned) return pinned.byteOffset;
    const arrival = this.arrival(pass, group);
    if (!arrival) throw new Error(`${group.id} was not asked for in pass ${pass}`);
    return this.#landing({ group, holder: arrival.holder });
  }

  /** The group where it lies in host memory, where kernels read it there; null where it has to cross. */
  inPlace(...[phase, group]: Parameters<InPlace['of']>): ReturnType<InPlace['of']> {
    return this.#inPlace.of(phase, group);
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
    const arrivals = this.#arrivals.get(pass) ?? new Map<string, Arrival>();
    this.#arrivals.set(pass, arrivals);
    const cache = group.kind === 'expert' ? this.#cache : null;
    const ahead = cache?.coming(group.id);
    const adopted = cache?.adopt(condition?.isForHost ? undefined : ahead);
    if (adopted) {
      arrivals.set(group.id, adopted);
      return [];
    }
    const claim = this.#claim(group, pass, phase, condition, ahead);
    const { tasks, arrival } = this.#carry(group, pass, phase, claim, condition);
    arrivals.set(group.id, arrival);
    return tasks;
  }

  /**
   * The tasks that bring some of a layer's groups which its router is expected, so many layers before, to choose, as far as
   * that came true lately and they are not there.
   */
  foresee(pass: number, phase: PhaseName, distance: number, groups: readonly WeightGroup[]): Task[] {
    return this.#bringAhead(pass, phase, groups, (cache, layer, ids) => cache.foresee(layer, distance, ids));
  }

  /** The same of all of a layer's groups, where so many rows choose that hardly one is left out. */
  expect(pass: number, phase: PhaseName, groups: readonly WeightGroup[]): Task[] {
    return this.#bringAhead(pass, phase, groups, (cache, layer, ids) => cache.expect(layer, ids));
  }

  #bringAhead(
    pass: number,
    phase: PhaseName,
    groups: readonly WeightGroup[],
    isWorthIt: (cache: ExpertCache, layer: number, ids: readonly string[]) => boolean,
  ): Task[] {
    const cache = this.#cache;
    const streamed = groups.filter(
      (group) => !this.#target.pinned.has(group.id) && !this.inPlace(phase, group),
    );
    if (!cache || streamed.length === 0) return [];
    const [{ layer }] = streamed;
    const ids = streamed.map(({ id }) => id);
    if (!isWorthIt(cache, layer, ids)) return [];
    return streamed
      .filter(({ id }) => !cache.holds(id) && !this.#isNearHost(id))
      .flatMap((group) => {
        const claim = this.#claim(group, pass, phase) as Claim;
        const { tasks, arrival } = this.#carry(group, pass, phase, claim);
        cache.bringAhead(layer, claim, arrival, tasks[tasks.length - 1]);
        return tasks;
      });
  }

  /** Whether the host may soon compute with an expert where it lies. */
  #isNearHost(id: string): boolean {
    if (this.#policy.hostExpertRows === 0) return false;
    return this.#target.kept.has(id) || (this.#cache?.isStaged(id) ?? false);
  }

  #carry(
    group: WeightGroup,
    pass: number,
    phase: PhaseName,
    claim: Claim | null,
    { after = [], isUnused, isForHost }: Partial<Condition> = {},
  ): { readonly tasks: OpenTask[]; readonly arrival: Arrival } {
    const way = this.#wayOf(group);
    const skips = isForHost && (() => (isUnused?.() ?? false) || isForHost());
    const isShared = this.#sharesExperts && phase === 'decode' && group.kind === 'expert';
    const staysStaged = isShared || isForHost !== undefined;
    const carriage: Carriage = {
      ...{ group, pass, phase, load: null, upload: -1, holder: -1, isShared, staysStaged },
    };
    const tasks: OpenTask[] = [];
    for (const hop of way) {
      const previous = tasks.length > 0 ? tasks[tasks.length - 1].id : null;
      const first = claim ? [claim.task.id] : after;
      const task = this.#hop(hop, carriage, previous === null ? first : [previous], previous);
      task.isIdle = hop.isPastHost ? (skips ?? isUnused) : isUnused;
      claim?.govern(task, hop);
      if (hop.to === 'host') carriage.load = task.id;
      tasks.push(task);
    }
    carriage.upload = tasks[tasks.length - 1].id;
    // On demand, one slot serves a group from its first hop on.
    const isOnDemand = this.#policy.streaming === 'on-demand';
    carriage.holder = claim?.task.id ?? (isOnDemand ? tasks[0].id : carriage.upload);
    return { tasks: claim ? [claim.task, ...tasks] : tasks, arrival: carriage };
  }

  #wayOf(group: WeightGroup): readonly WeightHop[] {
    return this.#ways[this.#target.kept.has(group.id) ? 'kept' : streamedKind(group)];
  }

  /** Takes a place for an expert that may lie there already; null where it is brought whatever lies there. */
  #claim(
    group: WeightGroup,
    pass: number,
    phase: PhaseName,
    { after = [], isForHost }: Partial<Condition> = {},
    ahead?: Ahead,
  ): Claim | null {
    if (!this.#cache || group.kind !== 'expert') return null;
    const head = { id: this.#ids.next(), pass, phase, priority: pass };
    const { slotClass } = this.#slotsFor(group, 'device');
    const wish = { layout: this.#layoutOf(group), phase, way: this.#wayOf(group), isForHost };
    return this.#cache.claim(head, ahead ? [...after, ahead.upload] : after, slotClass, wish);
  }

  /** @param previous the hop before; null where there was none */
  #hop(hop: WeightHop, carriage: Carriage, after: readonly number[], previous: number | null): OpenTask {
    const { group, phase } = carriage;
    const { streaming } = this.#policy;
    const isOnDemand = streaming === 'on-demand';
    const share = 1 - this.hostShareOf(phase, group);
    const task = openTask(this.#head(hop, carriage), after, this.#opOf(hop, carriage));
    task.bytes = hopBytes(hop, this.#layoutOf(group), share);
    task.isPageable = this.#isPageable(group);
    if (hop.from !== 'disk') task.broughtBy = previous ?? staysThere;
    if (previous === null || !isOnDemand)
      task.takes = this.#slotsFor(group, isOnDemand ? 'device' : hop.to).slotClass;
    const keepsStage = hop.from === 'host' && carriage.staysStaged;
    if (previous !== null && !isOnDemand && !keepsStage) task.frees = [previous];
    return task;
  }

  /** What the local machine does; other ways are for virtual machines. */
  #opOf({ from, to }: Hop, carriage: Carriage): Task['createOp'] {
    const { group } = carriage;
    const layout = this.#layoutOf(group);
    if (from === 'disk' && to === 'host') {
      const { regions } = this.#slotsFor(group, 'host');
      const isOnDemand = this.#policy.streaming === 'on-demand';
      return (slot) => loadOp(layout, regions[isOnDemand ? 0 : slot].byteOffset);
    }
    if (from !== 'host' || to !== 'device') return () => ({ kind: 'imagined' });
    const crossing = carriage.isShared ? this.#share(group).device : layout;
    return () => uploadOp(crossing, this.#stagedAddress(group, carriage.load), this.#landing(carriage));
  }

  /** Where a group lands in device memory. */
  #landing({ group, holder }: Pick<Carriage, 'group' | 'holder'>): number {
    return this.#slotsFor(group, 'device').regions[this.#slotOf(holder)].byteOffset;
  }

  #isPageable({ layer }: WeightGroup): boolean {
    return layer >= this.#policy.pageLocked * this.#target.checkpoint.layers.length;
  }

  /** Weights pass in the order of the layers; the lanes that they cross see nothing else that is as urgent. */
  #head({ lane, from }: Hop, { group: { id: group, layer }, pass, phase }: Carriage): TaskHead {
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
