/**
 * What is believed of points that were not run, from those that were: a Gaussian process (Rasmussen and Williams,
 * Gaussian Processes for Machine Learning, 2006, algorithm 2.1). How smooth it is nobody knows: a few dozen guesses are
 * drawn from what is usual, and each counts by how well it explains what was seen.
 */

import { largest, type Random } from '@specoffload/engine';
import type { Space } from './features.js';

/** Normal, of the value that the process is asked for. */
export interface Prediction {
  readonly mean: number;
  readonly sigma: number;
  /** Of the guess that it follows from; those of one point sum to 1. */
  readonly weight: number;
}

/** A guess of how values of points hang together. */
interface Smoothness {
  readonly variance: number;
  /** Of each axis, by how many values two points are apart on it. */
  readonly likeness: readonly Float64Array[];
  /** Of repeats. */
  readonly noiseVariance: number;
}

const numGuesses = 64;
/** Those that explain least change nothing but the time it takes. */
const mostKept = 8;

/**
 * Predictions, one of each guess, of points that are asked for.
 * @param known indices into the space and what was reached there, beyond what was expected beforehand
 * @param scale how far values usually lie from what was expected
 */
export function believe(
  space: Space,
  known: readonly (readonly [index: number, value: number])[],
  scale: number,
  random: Random,
): (index: number) => Prediction[] {
  const fits = Array.from({ length: numGuesses }, () => new Fit(space, known, guess(space, scale, random)));
  const best = largest(fits.map(({ evidence }) => evidence));
  const kept = fits.sort((a, b) => b.evidence - a.evidence).slice(0, mostKept);
  const weights = kept.map(({ evidence }) => Math.exp(evidence - best));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return (index) => kept.map((fit, rank) => ({ ...fit.predict(index), weight: weights[rank]! / total }));
}

/** What is usual: neighbours on a grid are alike, names more or less; deviations are e times the scale, or an e-th of it. */
function guess({ isOrdered, numValues }: Space, scale: number, random: Random): Smoothness {
  const variance = (scale * Math.exp(random.normal())) ** 2;
  const noiseVariance = variance * (0.02 * Math.exp(random.normal())) ** 2;
  const likeness = isOrdered.map((is, axis) => {
    // So far apart, on a grid from 0 to 1, values are nearly independent.
    const reach = is ? 0.7 * Math.exp(0.8 * random.normal()) : random.uniform();
    const most = numValues[axis]! - 1;
    return Float64Array.from({ length: most + 1 }, (_, apart) =>
      is ? Math.exp(-0.5 * (apart / most / reach) ** 2) : apart === 0 ? 1 : reach,
    );
  });
  return { variance, likeness, noiseVariance };
}

/** The process under one guess, given what is known. */
class Fit {
  /** Logarithm of how likely the guess makes what was seen, but for what all guesses share. */
  readonly evidence: number;
  readonly #space: Space;
  readonly #known: readonly (readonly [index: number, value: number])[];
  readonly #smoothness: Smoothness;
  /** Cholesky's lower triangle, (n, n). */
  readonly #lower: Float64Array;
  /** The level of all is unknown and has a flat prior: its best estimate, and how certain it is. */
  readonly #level: number;
  readonly #certainty: number;
  /** Ones, and what was seen beyond the level, both solved by the triangle, (n). */
  readonly #ones: Float64Array;
  readonly #rest: Float64Array;

  constructor(
    space: Space,
    known: readonly (readonly [index: number, value: number])[],
    smoothness: Smoothness,
  ) {
    const n = known.length;
    [this.#space, this.#known, this.#smoothness] = [space, known, smoothness];
    this.#lower = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1)
      for (let j = 0; j <= i; j += 1)
        this.#lower[i * n + j] =
          this.#covariance(known[i]![0], known[j]![0]) + (i === j ? smoothness.noiseVariance : 0);
    factorize(this.#lower, n);
    this.#ones = solveLower(this.#lower, new Float64Array(n).fill(1));
    this.#rest = solveLower(
      this.#lower,
      Float64Array.from(known, ([, value]) => value),
    );
    this.#certainty = dot(this.#ones, this.#ones);
    this.#level = dot(this.#ones, this.#rest) / this.#certainty;
    for (let i = 0; i < n; i += 1) this.#rest[i]! -= this.#level * this.#ones[i]!;
    let logDeterminant = 0;
    for (let i = 0; i < n; i += 1) logDeterminant += 2 * Math.log(this.#lower[i * n + i]!);
    this.evidence = -0.5 * (dot(this.#rest, this.#rest) + logDeterminant + Math.log(this.#certainty));
  }

  predict(index: number): { readonly mean: number; readonly sigma: number } {
    const shared = solveLower(
      this.#lower,
      Float64Array.from(this.#known, ([other]) => this.#covariance(other, index)),
    );
    const missing = 1 - dot(shared, this.#ones);
    const variance = this.#smoothness.variance - dot(shared, shared) + missing ** 2 / this.#certainty;
    return { mean: this.#level + dot(shared, this.#rest), sigma: Math.sqrt(Math.max(variance, 1e-12)) };
  }

  /** Half of it adds up axis by axis, so that what one axis does is known from few points; half is each combination's own. */
  #covariance(a: number, b: number): number {
    const { variance, likeness } = this.#smoothness;
    const [from, to] = [this.#space.places[a]!, this.#space.places[b]!];
    let product = 1;
    let sum = 0;
    for (let axis = 0; axis < likeness.length; axis += 1) {
      const alike = likeness[axis]![Math.abs(from[axis]! - to[axis]!)]!;
      product *= alike;
      sum += alike;
    }
    return variance * (0.5 * (likeness.length === 0 ? 1 : sum / likeness.length) + 0.5 * product);
  }
}

/** Mutates the lower triangle of a covariance, (n, n), to Cholesky's. */
function factorize(matrix: Float64Array, n: number): void {
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j <= i; j += 1) {
      let rest = matrix[i * n + j]!;
      for (let k = 0; k < j; k += 1) rest -= matrix[i * n + k]! * matrix[j * n + k]!;
      matrix[i * n + j] = i === j ? Math.sqrt(Math.max(rest, 1e-12)) : rest / matrix[j * n + j]!;
    }
}

/** Mutates and returns the right side. */
function solveLower(lower: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  for (let i = 0; i < n; i += 1) {
    let rest = right[i]!;
    for (let k = 0; k < i; k += 1) rest -= lower[i * n + k]! * right[k]!;
    right[i] = rest / lower[i * n + i]!;
  }
  return right;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}
