/** What the places for experts in one memory hold, and which of them is given up for another expert. */

import type { ExpertUses } from './expert-uses.js';

/** Where in a list of free places one is taken, and whether the expert lies there already. */
export interface Taken {
  readonly index: number;
  readonly isHit: boolean;
}

export class ExpertPlaces {
  readonly #uses: ExpertUses;
  /** By place: what was brought there last. */
  readonly #held: (string | undefined)[] = [];
  readonly #placeOf = new Map<string, number>();

  constructor(uses: ExpertUses) {
    this.#uses = uses;
  }

  /** Whether it lies in one of the places, or is on its way there. */
  holds(group: string): boolean {
    return this.#placeOf.has(group);
  }

  /** Which of the free places it is in; -1 where it has to be brought. */
  find(free: readonly number[], group: string): number {
    const place = this.#placeOf.get(group);
    return place === undefined ? -1 : free.indexOf(place);
  }

  /**
   * The free place that is given up first: an empty one, else of what is not `spared`, if there is anything, what is
   * `doubled` elsewhere or worth least; places are never none.
   */
  worst(
    free: readonly number[],
    isSpared: (group: string) => boolean,
    isDoubled: (group: string) => boolean,
  ): number {
    let worst = 0;
    for (let index = 0; index < free.length; index += 1) {
      const held = this.#held[free[index]];
      if (held === undefined) return index;
      const worstHeld = this.#held[free[worst]] as string;
      if (index > 0 && this.#isWorse(held, worstHeld, isSpared, isDoubled)) worst = index;
    }
    return worst;
  }

  #isWorse(
    one: string,
    other: string,
    isSpared: (group: string) => boolean,
    isDoubled: (group: string) => boolean,
  ): boolean {
    const [spared, otherSpared] = [isSpared(one), isSpared(other)];
    if (spared !== otherSpared) return otherSpared;
    const [doubled, otherDoubled] = [isDoubled(one), isDoubled(other)];
    return doubled !== otherDoubled ? doubled : this.#uses.isLess(one, other);
  }

  /** What lies in a place. */
  heldIn(place: number): string | undefined {
    return this.#held[place];
  }

  /** From now on it is brought, or lies, there. */
  put(place: number, group: string): void {
    const before = this.#held[place];
    if (before !== undefined && this.#placeOf.get(before) === place) this.#placeOf.delete(before);
    this.#held[place] = group;
    this.#placeOf.set(group, place);
  }

  /** What was to be brought there was not. */
  drop(group: string): void {
    const place = this.#placeOf.get(group);
    if (place === undefined) return;
    this.#placeOf.delete(group);
    this.#held[place] = undefined;
  }

  /** Something else has been in the places since. */
  forget(): void {
    this.#held.length = 0;
    this.#placeOf.clear();
  }
}
