/** How often and how lately experts were chosen, and when they are likely to be again: what makes one worth keeping. */

import type { Policy } from './policy.js';

export class ExpertUses {
  readonly #expertCache: Policy['expertCache'];
  readonly #uses = new Map<string, Use>();
  /** By layer: how often its router has chosen. */
  readonly #turns: number[] = [];
  #layer = 0;
  #clock = 0;

  constructor({ expertCache }: Pick<Policy, 'expertCache'>) {
    this.#expertCache = expertCache;
  }

  /** A layer's router has chosen these. */
  count(layer: number, groups: readonly string[]): void {
    this.#layer = layer;
    this.#turns[layer] = (this.#turns[layer] ?? 0) + 1;
    for (const group of groups) {
      this.#clock += 1;
      const use = this.#uses.get(group) ?? { layer, count: 0, latest: 0 };
      this.#uses.set(group, use);
      use.count += 1;
      use.latest = this.#clock;
    }
  }

  /** What an expert is worth keeping for, beside others; 0 for all where only how lately they were used counts. */
  valueOf(group: string): number {
    return this.#expertCache === 'lru' ? 0 : this.#value(this.#uses.get(group));
  }

  /** When it was used last, on a clock of choices; 0 where it never was. */
  latestOf(group: string): number {
    return this.#uses.get(group)?.latest ?? 0;
  }

  #value(use: Use | undefined): number {
    if (this.#expertCache === 'lfu') return use?.count ?? 0;
    return use ? -this.#passesUntil(use) : Number.NEGATIVE_INFINITY;
  }

  /** Until an expert is expected to be chosen again: until its layer's turn, and as many more turns as it is seldom. */
  #passesUntil({ layer, count }: Use): number {
    const numLayers = this.#turns.length;
    const turn = (layer - this.#layer + numLayers - 1) % numLayers;
    return (turn + 1) / numLayers + (this.#turns[layer] + 1) / (count + 0.5);
  }
}

interface Use {
  readonly layer: number;
  count: number;
  /** On a clock of choices. */
  latest: number;
}
