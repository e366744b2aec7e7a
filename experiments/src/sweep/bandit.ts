/**
 * Thompson sampling over the points of an experiment, as Camel does it (arXiv 2508.09173): what a point reaches is
 * normal around an unknown mean, with known noise; the belief in that mean is normal too. Every round draws a mean of
 * each point's belief, runs the point that drew best, and updates its belief by what it reached.
 */

import { createRandom, type Random } from '@specoffload/engine';
import type { BanditSettings } from '../definitions/definition.js';

/** What is believed of a point's mean. */
export interface Belief {
  readonly mean: number;
  readonly sigma: number;
  /** Its runs so far. */
  readonly pulls: number;
}

/** Conjugate update of a normal belief by one value with normal noise. */
export function update({ mean, sigma, pulls }: Belief, value: number, noiseSigma: number): Belief {
  const [prior, noise] = [1 / sigma ** 2, 1 / noiseSigma ** 2];
  return {
    mean: (mean * prior + value * noise) / (prior + noise),
    sigma: Math.sqrt(1 / (prior + noise)),
    pulls: pulls + 1,
  };
}

/** Mutable, used for one search. */
export class Bandit {
  readonly #settings: BanditSettings;
  readonly #sign: 1 | -1;
  readonly #random: Random;
  readonly #isOut = new Set<number>();
  readonly #values: number[][];
  #beliefs: readonly Belief[] = [];
  #noiseSigma = 0;

  constructor(numArms: number, settings: BanditSettings, lowerIsBetter: boolean, seed: number) {
    this.#settings = settings;
    this.#sign = lowerIsBetter ? 1 : -1;
    this.#random = createRandom(seed, 'bandit');
    this.#values = Array.from({ length: numArms }, () => []);
  }

  get beliefs(): readonly Belief[] {
    return this.#beliefs;
  }

  /** The point to run next; null when none is left. */
  choose(): number | null {
    const random = this.#random;
    let best: number | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const arm of this.#values.keys()) {
      // Drawn for all, so that a point that is out changes nothing of the others' luck.
      const [luck, { mean, sigma }] = [random.normal(), this.#beliefs[arm] ?? { mean: 0, sigma: 1 }];
      const drawn = this.#sign * (mean + sigma * luck);
      if (this.#isOut.has(arm) || drawn >= least) continue;
      [best, least] = [arm, drawn];
    }
    return best;
  }

  /** Before the first value nobody knows its order of magnitude: the belief in all points begins there. */
  learn(arm: number, value: number): void {
    if (this.#beliefs.length === 0) this.#begin(value);
    this.#values[arm]!.push(value);
    this.#beliefs = this.#beliefs.map((belief, index) =>
      index === arm ? update(belief, value, this.#noiseSigma) : belief,
    );
  }

  /** It cannot be run, or reaches nothing that could be compared. */
  drop(arm: number): void {
    this.#isOut.add(arm);
  }

  #begin(value: number): void {
    const { priorMean: mean = value } = this.#settings;
    const { priorSigma: sigma = 0.3 * Math.abs(mean) || 1, noiseSigma = 0.02 * Math.abs(mean) || 1 } =
      this.#settings;
    this.#noiseSigma = noiseSigma;
    this.#beliefs = this.#values.map(() => ({ mean, sigma, pulls: 0 }));
  }
}
