/** A place that has been asked for on behalf of an expert, and what becomes of the tasks that bring the expert there. */

import type { Moves } from '../speculate/expert-counter.js';
import type { PhaseName } from '../trace/types.js';
import type { Arrival } from './arrival.js';
import type { GroupLayout } from './group-layout.js';
import { needsNoSlot, type OpenTask, waitsForSlot } from './task.js';
import { hopBytes, type WeightHop } from './weight-way.js';

/** What a claim is for. */
export interface Wish {
  readonly layout: GroupLayout;
  readonly phase: PhaseName;
  readonly way: readonly WeightHop[];
  /** Lets it go without a place on the device: the host computes with it. */
  readonly isForHost?: (() => boolean) | undefined;
}

type TakeStaged = (free: readonly number[]) => { readonly index: number; readonly isHit: boolean };

export class Claim {
  readonly task: OpenTask;
  readonly group: string;
  /** What has been moved of it. */
  readonly moved: Moves[number][] = [];
  /** Told of what need not be moved where it lies in host memory already. */
  onStaged: (moves: Moves) => void = () => {};
  readonly #wish: Wish;
  readonly #takeStaged: TakeStaged;
  #state: 'waiting' | 'coming' | 'there' = 'waiting';
  #isStaged = false;

  constructor(task: OpenTask, wish: Wish, takeStaged: TakeStaged) {
    this.task = task;
    this.group = wish.layout.group.id;
    this.#wish = wish;
    this.#takeStaged = takeStaged;
  }

  get state(): 'waiting' | 'coming' | 'there' {
    return this.#state;
  }

  /** Whether it lies in host memory already. */
  get isStaged(): boolean {
    return this.#isStaged;
  }

  /** Nothing of it has to be moved. */
  isThere(): void {
    this.#state = 'there';
  }

  /** It has its place, and has to be brought there. */
  isComing(): void {
    this.#state = 'coming';
  }

  /** What bringing it takes. */
  moves(): Moves {
    return this.#wish.way.map((hop) => this.#moveOver(hop));
  }

  #moveOver(hop: WeightHop): Moves[number] {
    return [hop.lane, hopBytes(hop, this.#wish.layout, 1)];
  }

  /** Leaves out of a hop what is there already. Mutates `task`, which brings the expert over it. */
  govern(task: OpenTask, hop: WeightHop): void {
    const { isIdle } = task;
    task.isIdle = () => {
      const skips = this.#state === 'there' || (hop.to === 'host' && this.#isStaged);
      if (skips || isIdle?.()) return true;
      this.moved.push(this.#moveOver(hop));
      return false;
    };
    if (hop.to === 'device') task.takes = undefined;
    else if (hop.to === 'host') task.chooseSlot = (free) => this.#chooseStaged(free, hop);
    else task.chooseSlot = (free) => this.#chooseAny(free);
  }

  #chooseStaged(free: readonly number[], hop: WeightHop): number {
    if (this.#state === 'there') return needsNoSlot;
    const { index, isHit } = this.#takeStaged(free);
    if (index < 0) return waitsForSlot;
    this.#isStaged = isHit;
    if (isHit) this.onStaged([this.#moveOver(hop)]);
    return index;
  }

  #chooseAny(free: readonly number[]): number {
    if (this.#state === 'there') return needsNoSlot;
    return free.length === 0 ? waitsForSlot : free.length - 1;
  }
}

/** An expert that is brought before its router has chosen. */
export class Ahead {
  readonly group: string;
  /** The task that ends it. */
  readonly upload: number;
  readonly #claim: Claim;
  readonly #arrival: Arrival;
  readonly #last: OpenTask;
  #isLeft = false;
  /** Whether its layer has been found to need it. */
  isNeeded = false;

  constructor(claim: Claim, arrival: Arrival, last: OpenTask) {
    this.group = claim.group;
    this.upload = last.id;
    this.#claim = claim;
    this.#arrival = arrival;
    this.#last = last;
  }

  /** Whether it has its place and is on its way. */
  isComing(): boolean {
    return this.#claim.state === 'coming';
  }

  get phase(): PhaseName {
    return this.#last.phase;
  }

  get isStaged(): boolean {
    return this.#claim.isStaged;
  }

  get isLeft(): boolean {
    return this.#isLeft;
  }

  /** It is needed, and its place is given back by who uses it. */
  adopt(): Arrival {
    this.isNeeded = true;
    this.#last.frees = this.#last.frees?.filter((id) => id !== this.#claim.task.id);
    return this.#arrival;
  }

  /** Nobody needs it: what has not begun to move stays where it is. @returns whether its place was to be filled, and is not */
  leave(): boolean {
    this.#isLeft = true;
    if (!this.isComing() || this.#claim.moved.length > 0) return false;
    this.#claim.isThere();
    return true;
  }
}
