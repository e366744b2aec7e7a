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
    let worst = -1;
    let [worstSpared, worstDoubled, worstValue, worstLatest] = [false, false, 0, 0];
    for (let index = 0; index < free.length; index += 1) {
      const held = this.#held[free[index]];
      if (held === undefined) return index;
      const doubled = isDoubled(held);
      const value = this.#uses.valueOf(held);
      const latest = this.#uses.latestOf(held);
      const isLess =
        worst < 0 ||
        (doubled !== worstDoubled ? doubled : isWorthLess(value - worstValue, latest, worstLatest));
      // What is spared is asked last: predictions look at every place for every expert that comes.
      if (!isLess && !worstSpared) continue;
      const spared = isSpared(held);
      if (worst >= 0 && (spared !== worstSpared ? spared : !isLess)) continue;
      worst = index;
      [worstSpared, worstDoubled, worstValue, worstLatest] = [spared, doubled, value, latest];
    }
    return Math.max(0, worst);
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

/** By what an expert is worth, then by how lately it was used. */
function isWorthLess(difference: number, latest: number, otherLatest: number): boolean {
  return difference !== 0 ? difference < 0 : latest < otherLatest;
}
