/**
 * Experts that stay where they were brought until their place is needed for another one, on the device and as stored in
 * host memory, and experts that come before their router has chosen them. The places are those that weights stream
 * through, and as many more as the plan gives them.
 */

import { ExpertCounter } from '../speculate/expert-counter.js';
import type { Arrival } from './arrival.js';
import { Ahead, Claim, type Wish } from './expert-claim.js';
import { ExpertPlaces } from './expert-places.js';
import { ExpertUses } from './expert-uses.js';
import { Foresight } from './foresight.js';
import type { OpenPolicy } from './policy.js';
import {
  needsNoSlot,
  nowhere,
  type OpenTask,
  openTask,
  type SlotClass,
  type TaskHead,
  waitsForSlot,
} from './task.js';

export type { Ahead, Claim };

/** Whether experts stay. */
export function keepsExperts({ expertCache }: Pick<OpenPolicy, 'expertCache'>): boolean {
  return expertCache !== 'none';
}

/** Whether a layer's experts are asked for one by one, when its router has chosen: some may be there already. */
export function followsRouters(policy: Pick<OpenPolicy, 'expertCache' | 'expertPrefetch'>): boolean {
  return keepsExperts(policy) || policy.expertPrefetch !== 'none';
}

export class ExpertCache {
  readonly counter = new ExpertCounter();
  readonly #uses: ExpertUses;
  readonly #device: ExpertPlaces;
  readonly #host: ExpertPlaces;
  readonly #foresight = new Foresight();
  /** What the layer under way needs. */
  #needed: ReadonlySet<string> = new Set();
  /** By layer: what those behind it are expected to. */
  readonly #foreseen = new Map<number, ReadonlySet<string>>();
  /** Of what the layer under way needs: what was brought before that was known. */
  #cameAhead = new Set<string>();
  /** Whether all that the layer under way was found to need so far has its place. */
  #haveAllPlaces = true;
  /** By layer: what is on its way to it, or waits for a place. */
  readonly #ahead = new Map<number, Ahead[]>();
  /** By expert: the same. */
  readonly #coming = new Map<string, Ahead>();

  constructor(policy: OpenPolicy) {
    this.#uses = new ExpertUses(policy);
    this.#device = new ExpertPlaces(this.#uses);
    this.#host = new ExpertPlaces(this.#uses);
  }

  /** A layer's router has chosen these. */
  need(layer: number, groups: readonly string[]): void {
    for (const { distance, foreseen, right } of this.#foresight.judge(layer, groups))
      this.counter.judge(distance, foreseen, right);
    this.#uses.count(layer, groups);
    this.#needed = new Set(groups);
    this.#cameAhead = new Set(groups.filter((group) => this.counter.use(group)));
    this.#haveAllPlaces = true;
    // Whatever waits for a place lets those pass that are needed now, and may be foreseen again.
    for (const [to, all] of this.#ahead)
      for (const ahead of all)
        if (!ahead.isComing() || (to === layer && !this.#needed.has(ahead.group))) this.#leave(ahead);
    this.#ahead.delete(layer);
    this.#foreseen.delete(layer);
  }

  #leave(ahead: Ahead): void {
    if (!ahead.leave()) return;
    this.#device.drop(ahead.group);
    if (!ahead.isStaged) this.#host.drop(ahead.group);
  }

  /** A router so many layers behind is expected to choose these. @returns whether to bring them by that */
  foresee(layer: number, distance: number, groups: readonly string[]): boolean {
    if (!this.#foresight.expect(layer, distance, groups)) return false;
    this.#foreseen.set(layer, new Set(groups));
    return true;
  }

  /** A layer is taken to choose these whatever its router says: @returns that they are to be brought */
  expect(layer: number, groups: readonly string[]): true {
    this.#foreseen.set(layer, new Set(groups));
    return true;
  }

  /** Whether an expert is on the device, or on its way there. */
  holds(group: string): boolean {
    return this.#device.holds(group);
  }

  /** Whether it lies in host memory. */
  isStaged(group: string): boolean {
    return this.#host.holds(group);
  }

  /** An expert on its way to a place that it has; undefined where it is not, or there. */
  coming(group: string): Ahead | undefined {
    const ahead = this.#coming.get(group);
    return ahead?.isComing() ? ahead : undefined;
  }

  /**
   * The layer under way needs an expert; asked in the order in which they are used, once of each.
   * @param ahead where it is on its way, and the host does not compute with it
   * @returns how it arrives where it keeps its place until it has been used; null where it has to be claimed. Behind one that still
   * waits for a place nobody keeps his: who is used later would hold what the earlier one waits for.
   */
  adopt(ahead: Ahead | undefined): Arrival | null {
    if (ahead && this.#haveAllPlaces) {
      if (ahead.phase === 'decode') this.counter.choose();
      return ahead.adopt();
    }
    this.#haveAllPlaces = false;
    if (ahead) {
      ahead.isNeeded = true;
      this.#cameAhead.add(ahead.group);
    }
    return null;
  }

  /** Something else has been in the places in host memory since. */
  forgetStaged(): void {
    this.#host.forget();
  }

  /** Takes a place on the device for an expert, before anything of it moves: the task, and what follows from it. */
  claim(
    head: Pick<TaskHead, 'id' | 'phase' | 'pass' | 'priority'>,
    after: readonly number[],
    slotClass: SlotClass,
    wish: Wish,
  ): Claim {
    const { id: group } = wish.layout.group;
    const name = `claim ${group}`;
    const task = openTask(
      { ...head, lane: nowhere, kind: 'upload', name, batch: -1, rows: 0 },
      after,
      () => ({ kind: 'imagined' }),
    );
    const claim = new Claim(task, wish, (free) => this.#takeStaged(free, group));
    task.takes = slotClass;
    task.chooseSlot = (free) => this.#choose(free, group, claim, wish);
    return claim;
  }

  #choose(free: readonly number[], group: string, claim: Claim, { isForHost, phase }: Wish): number {
    if (isForHost?.()) return needsNoSlot;
    const found = this.#device.find(free, group);
    if (found < 0 && free.length === 0) return waitsForSlot;
    if (phase === 'decode') this.#count(claim, found >= 0);
    if (found >= 0) {
      claim.isThere();
      return found;
    }
    return this.#give(free, group, claim);
  }

  /** What an expert saved by being there already, whoever brought it. */
  #count(claim: Claim, isHit: boolean): void {
    this.counter.choose();
    if (this.#cameAhead.has(claim.group)) return;
    if (isHit) this.counter.hit('device', claim.moves());
    else claim.onStaged = (moves) => this.counter.hit('host', moves);
  }

  #give(free: readonly number[], group: string, claim: Claim): number {
    const index = this.#device.worst(free, this.#isNeeded, () => false);
    const given = this.#device.heldIn(free[index]);
    if (given !== undefined) this.counter.lose(given);
    this.#device.put(free[index], group);
    claim.isComing();
    return index;
  }

  /** The claim is for an expert that nobody has chosen yet: the tasks that bring it end with `upload`. */
  bringAhead(layer: number, claim: Claim, arrival: Arrival, upload: OpenTask): void {
    const { group, task } = claim;
    const ahead = new Ahead(claim, arrival, upload);
    this.#ahead.set(layer, [...(this.#ahead.get(layer) ?? []), ahead]);
    this.#coming.set(group, ahead);
    upload.frees = [...(upload.frees ?? []), task.id];
    upload.onEnd = () => {
      if (this.#coming.get(group) === ahead) this.#coming.delete(group);
      if (claim.moved.length > 0 && upload.phase === 'decode')
        this.counter.bring(group, claim.moved, ahead.isNeeded);
    };
    task.chooseSlot = (free) => {
      if (ahead.isLeft || this.#device.holds(group)) return this.#pass(claim);
      if (free.length === 0) return waitsForSlot;
      const held = this.#device.heldIn(free[this.#device.worst(free, this.#isNeeded, () => false)]);
      return held !== undefined && this.#isNeeded(held) ? this.#pass(claim) : this.#give(free, group, claim);
    };
  }

  /** It needs no place: it is there already, or no more wanted, or everything there is needed more. */
  #pass(claim: Claim): number {
    claim.isThere();
    return needsNoSlot;
  }

  readonly #isNeeded = (group: string): boolean => {
    if (this.#needed.has(group)) return true;
    for (const foreseen of this.#foreseen.values()) if (foreseen.has(group)) return true;
    return false;
  };

  readonly #isOnDevice = (group: string): boolean => this.#device.holds(group);

  /** The same for the place where it is staged. */
  #takeStaged(free: readonly number[], group: string): { readonly index: number; readonly isHit: boolean } {
    const found = this.#host.find(free, group);
    if (found >= 0 || free.length === 0) return { index: found, isHit: found >= 0 };
    const index = this.#host.worst(free, this.#isNeeded, this.#isOnDevice);
    this.#host.put(free[index], group);
    return { index, isHit: false };
  }
}
