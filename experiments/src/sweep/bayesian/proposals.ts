/**
 * Bayesian search (Jones, Schonlau and Welch, Efficient Global Optimization, 1998): the point to run next is the one whose
 * expected improvement over the best so far is largest. Of several objectives that is the hypervolume that it adds to what
 * the points so far dominate (Emmerich, Giannakoglou and Naujoks, 2006), whose points spread along the front.
 */

import { createRandom, largest, type Random, smallest } from '@specoffload/engine';
import type { Space } from './features.js';
import { believe, type Prediction } from './gaussian-process.js';
import { normalDensity, normalProbability } from './normal.js';

/** Of one objective, larger being better; logarithms of what is measured. */
export type Scores = readonly number[];

export interface Proposal {
  readonly index: number;
  /** Expected share by which it is better than the best so far, or of the volume; null of the first. */
  readonly expectedGain: number | null;
  /** Of each objective, its believed logarithm; null of the first without a sketch. */
  readonly believed: readonly { readonly mean: number; readonly sigma: number }[] | null;
}

export interface SearchSpace extends Space {
  /** (objectives, points): what is expected before anything runs, the larger the better; null where nothing tells. */
  readonly sketches: readonly (readonly (number | null)[] | null)[];
}

/** How far values lie from each other, and from a sketch of them: of logarithms. */
const usualScale = 0.5;
const sketchScale = 0.05;

/** More candidates than this are a sample of them. */
const mostCandidates = 2000;
const mostPromising = 500;

/** Mutable, used for one search. */
export class BayesianSearch {
  readonly #space: SearchSpace;
  readonly #random: Random;
  readonly #left: Set<number>;
  readonly #known = new Map<number, Scores>();

  constructor(space: SearchSpace, seed: number) {
    this.#space = space;
    this.#random = createRandom(seed, 'bayesian');
    this.#left = new Set(space.places.keys());
  }

  /** Null when nothing is left. */
  propose(): Proposal | null {
    const candidates = this.#sample([...this.#left]);
    if (candidates.length === 0) return null;
    if (this.#known.size === 0) return this.#proposeFirst(candidates);
    const beliefs = this.#space.sketches.map((sketch, objective) => this.#beliefIn(objective, sketch));
    const predictions = candidates.map((index) => beliefs.map((predict) => predict(index)));
    const gains = this.#gains(predictions);
    const best = gains.reduce((top, gain, i) => (gain > gains[top]! ? i : top), 0);
    return {
      ...{ index: candidates[best]!, expectedGain: gains[best]! },
      believed: predictions[best]!.map(merge),
    };
  }

  /** @param scores null for what cannot be run: it is taken to be as bad as the worst. */
  learn(index: number, scores: Scores | null): void {
    this.#left.delete(index);
    const worst = this.#space.sketches.map((_, objective) => {
      const all = [...this.#known.values()].map((known) => known[objective]!);
      return all.length === 0 ? null : smallest(all);
    });
    if (scores !== null) this.#known.set(index, scores);
    else if (worst.every((score) => score !== null)) this.#known.set(index, worst as number[]);
  }

  /** Where a sketch says, else anywhere. */
  #proposeFirst(candidates: readonly number[]): Proposal {
    const [sketch] = this.#space.sketches;
    const promising = sketch ? candidates.filter((index) => sketch[index] !== null) : [];
    const start = candidates[Math.floor(this.#random.uniform() * candidates.length)]!;
    const index = promising.reduce((a, b) => (sketch![b]! > sketch![a]! ? b : a), promising[0] ?? start);
    return { index, expectedGain: null, believed: null };
  }

  #beliefIn(objective: number, sketch: SearchSpace['sketches'][number]): (index: number) => Prediction[] {
    const told = sketch?.filter((value) => value !== null) ?? [];
    const least = told.length === 0 ? 0 : smallest(told);
    // What a sketch does not serve will hardly be served.
    const expected = (index: number) => (told.length === 0 ? 0 : (sketch![index] ?? least - 1));
    const known = [...this.#known].map(
      ([index, scores]) => [index, scores[objective]! - expected(index)] as const,
    );
    const predict = believe(this.#space, known, told.length === 0 ? usualScale : sketchScale, this.#random);
    return (index) =>
      predict(index).map((prediction) => ({ ...prediction, mean: prediction.mean + expected(index) }));
  }

  /** Of each candidate. @param predictions (candidates, objectives) */
  #gains(predictions: readonly (readonly (readonly Prediction[])[])[]): readonly number[] {
    const known = [...this.#known.values()];
    if (this.#space.sketches.length > 1) return this.#volumeGains(known, predictions);
    const best = largest(known.map(([score]) => score!));
    return predictions.map(([own]) =>
      own!.reduce((sum, one) => sum + one.weight * expectedImprovement(one, best), 0),
    );
  }

  /**
   * The share of what lies between the worst and the best of all objectives that would be reached, and was not yet: as
   * the share of a few hundred places there.
   */
  #volumeGains(
    known: readonly Scores[],
    predictions: readonly (readonly (readonly Prediction[])[])[],
  ): readonly number[] {
    const believed = predictions.map((own) => own.map(merge));
    const ends = this.#space.sketches.map((_, i) => ({
      low: smallest([...known.map((scores) => scores[i]!), ...believed.map((own) => own[i]!.mean)]),
      high: largest([
        ...known.map((scores) => scores[i]!),
        ...believed.map((own) => own[i]!.mean + own[i]!.sigma),
      ]),
    }));
    const places = Array.from({ length: numPlaces }, () =>
      ends.map(({ low, high }) => low + (high - low) * this.#random.uniform()),
    ).filter((place) => !known.some((scores) => scores.every((score, i) => score >= place[i]!)));
    return believed.map((own) => {
      const chances = places.map((place) =>
        own.reduce((chance, { mean, sigma }, i) => chance * normalProbability((mean - place[i]!) / sigma), 1),
      );
      return chances.reduce((sum, chance) => sum + chance, 0) / numPlaces;
    });
  }

  /** All that are left; of very many those that a sketch promises most of, what is near the best, and some others. */
  #sample(left: number[]): readonly number[] {
    if (left.length <= mostCandidates) return left;
    const best = [...this.#known].reduce<number | null>(
      (top, [index, [score]]) => (top === null || score! > this.#known.get(top)![0]! ? index : top),
      null,
    );
    const chosen = new Set(best === null ? [] : left.filter((index) => this.#isNear(index, best)));
    for (const sketch of this.#space.sketches) {
      if (sketch === null) continue;
      const promise = (index: number) => sketch[index] ?? Number.NEGATIVE_INFINITY;
      const ranked = [...left].sort((a, b) => promise(b) - promise(a));
      for (const index of ranked.slice(0, mostPromising)) chosen.add(index);
    }
    while (chosen.size < mostCandidates) chosen.add(left[Math.floor(this.#random.uniform() * left.length)]!);
    return [...chosen];
  }

  /** Whether two points differ on one axis only. */
  #isNear(a: number, b: number): boolean {
    const [one, two] = [this.#space.places[a]!, this.#space.places[b]!];
    return one.filter((place, axis) => place !== two[axis]).length === 1;
  }
}

const numPlaces = 512;

function expectedImprovement({ mean, sigma }: Prediction, best: number): number {
  const z = (mean - best) / sigma;
  return Math.max(0, sigma * (z * normalProbability(z) + normalDensity(z)));
}

/** One normal for a mixture of them. */
function merge(predictions: readonly Prediction[]): { readonly mean: number; readonly sigma: number } {
  const mean = predictions.reduce((sum, one) => sum + one.weight * one.mean, 0);
  const variance = predictions.reduce(
    (sum, one) => sum + one.weight * (one.sigma ** 2 + (one.mean - mean) ** 2),
    0,
  );
  return { mean, sigma: Math.sqrt(variance) };
}
