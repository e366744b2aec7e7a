/**
 * Experts that stay where they were brought until their place is needed for another one: on the device, and as stored in
 * host memory. The places are those that weights stream through, and as many more as the plan gives them.
 */

import { ExpertCounter } from '../speculate/expert-counter.js';
import type { PhaseName } from '../trace/types.js';
import { ExpertPlaces, ExpertUses } from './expert-places.js';
import type { GroupLayout } from './group-layout.js';
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
import { hopBytes, type WeightHop } from './weight-way.js';

/** Whether experts stay, or come before they are asked for: what is brought is known before its tasks are made then. */
export function keepsExperts({ expertCache }: Pick<OpenPolicy, 'expertCache'>): boolean {
  return expertCache !== 'none';
}

/** What a claim is for. */
export interface Wish {
  readonly layout: GroupLayout;
  readonly phase: PhaseName;
  readonly way: readonly WeightHop[];
  /** Lets it go without a place on the device: the host computes with it. */
  readonly isForHost?: (() => boolean) | undefined;
}

export class ExpertCache {
  readonly counter = new ExpertCounter();
  readonly #uses: ExpertUses;
  readonly #device: ExpertPlaces;
  readonly #host: ExpertPlaces;
  /** What the layer under way needs. */
  #needed: ReadonlySet<string> = new Set();

  constructor(policy: OpenPolicy) {
    this.#uses = new ExpertUses(policy);
    this.#device = new ExpertPlaces(this.#uses);
    this.#host = new ExpertPlaces(this.#uses);
  }

  /** A layer's router has chosen these. */
  need(groups: readonly string[]): void {
    for (const group of groups) this.#uses.count(group);
    this.#needed = new Set(groups);
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
    const claim = new Claim(task, wish, this.counter, (free) => this.#takeStaged(free, group));
    task.takes = slotClass;
    task.chooseSlot = (free) => {
      if (wish.isForHost?.()) return needsNoSlot;
      const found = this.#device.find(free, group);
      if (found < 0 && free.length === 0) return waitsForSlot;
      claim.found(found >= 0);
      if (found >= 0) return found;
      const index = this.#device.worst(free, this.#isNeeded, () => false);
      this.#device.put(free[index], group);
      return index;
    };
    return claim;
  }

  readonly #isNeeded = (group: string): boolean => this.#needed.has(group);

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

type TakeStaged = (free: readonly number[]) => { readonly index: number; readonly isHit: boolean };

/** A place that has been asked for: whether it turned out to hold the expert already. */
export class Claim {
  readonly task: OpenTask;
  readonly #wish: Wish;
  readonly #counter: ExpertCounter;
  readonly #takeStaged: TakeStaged;
  #isHit = false;
  #isStaged = false;

  constructor(task: OpenTask, wish: Wish, counter: ExpertCounter, takeStaged: TakeStaged) {
    this.task = task;
    this.#wish = wish;
    this.#counter = counter;
    this.#takeStaged = takeStaged;
  }

  found(isHit: boolean): void {
    this.#isHit = isHit;
    const { phase, way, layout } = this.#wish;
    if (phase === 'prefill') return;
    this.#counter.choose();
    if (isHit)
      this.#counter.hit(
        'device',
        way.map((hop) => [hop.lane, hopBytes(hop, layout, 1)] as const),
      );
  }

  /** Leaves out of a hop what is there already. Mutates `task`, which brings the expert over it. */
  govern(task: OpenTask, hop: WeightHop): void {
    const { isIdle } = task;
    task.isIdle = () => this.#isHit || (hop.to === 'host' && this.#isStaged) || (isIdle?.() ?? false);
    if (hop.to === 'device') task.takes = undefined;
    else if (hop.to === 'host') task.chooseSlot = (free) => this.#chooseStaged(free, hop);
    else task.chooseSlot = (free) => this.#chooseAny(free);
  }

  #chooseStaged(free: readonly number[], hop: WeightHop): number {
    if (this.#isHit) return needsNoSlot;
    const { index, isHit } = this.#takeStaged(free);
    if (index < 0) return waitsForSlot;
    this.#isStaged = isHit;
    if (isHit && this.#wish.phase === 'decode')
      this.#counter.hit('host', [[hop.lane, hopBytes(hop, this.#wish.layout, 1)]]);
    return index;
  }

  #chooseAny(free: readonly number[]): number {
    if (this.#isHit) return needsNoSlot;
    return free.length === 0 ? waitsForSlot : free.length - 1;
  }
}
