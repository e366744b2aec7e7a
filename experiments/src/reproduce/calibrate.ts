/**
 * Fits the constants to what was published, through the simulator: simulate, see how every prediction answers to a
 * small change of every constant it depends on, let these slopes stand for the simulator within a small region, move
 * to the region's best point, simulate there, and go on from what came out. Deterministic.
 */

import { currentSignal } from '@specoffload/input';
import { type ConstantName, type Constants, constantNames, definitionOf } from './constants.js';
import type { Observation } from './observations.js';
import { type Estimate, type Estimator, touching } from './predict.js';
import type { Question } from './question.js';

export interface Fit {
  readonly constants: Constants;
  /** What the search made small: see {@link objectiveOf}. */
  readonly objective: number;
}

export interface FitOptions {
  readonly start: Constants;
  readonly observations: readonly Observation[];
  readonly estimator: Estimator;
  /** Most moves; each costs a simulation of every question. */
  readonly moves: number;
  /** Those of an earlier fit, for the questions it had: on these scales slopes hardly change with the place. */
  readonly slopes?: Slopes;
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** How the logarithm of a prediction changes with each constant's place on its scale, by question. */
export type Slopes = ReadonlyMap<string, readonly Slope[]>;

interface Slope {
  readonly name: ConstantName;
  readonly speed: number;
  readonly use: number;
}

/** Values of all constants, and what the simulator predicts with them. */
interface Point {
  readonly constants: Constants;
  readonly estimates: ReadonlyMap<string, Estimate>;
  readonly objective: number;
}

/** How far a move may change a constant on its scale (logarithm or log-odds). */
const largestRegion = 0.25;
const smallestRegion = 0.02;
/** Errors below this hardly count, so that the search does not stop at the corner of an absolute value. */
const smoothing = 0.01;
/** Weight of the pull towards the region's middle, which keeps constants that nothing depends on where they are. */
const pull = 0.01;

export async function fitConstants(options: FitOptions): Promise<Fit & { readonly slopes: Slopes }> {
  const { observations, moves, onProgress } = options;
  let best = await simulate(options, options.start);
  const slopes = await measureSlopes(options);
  let region = largestRegion;
  for (let move = 1; move <= moves && region >= smallestRegion; move += 1) {
    const next = await simulate(options, bestWithin(region, best, slopes, observations));
    if (next.objective < best.objective - 1e-4) best = next;
    else region /= 2;
    onProgress?.(`move ${move} of ${moves}: ${(100 * best.objective).toFixed(2)} %`);
  }
  return { constants: best.constants, objective: best.objective, slopes };
}

/** The weighted mean of the residuals' sizes, smoothed at zero. */
export function objectiveOf(
  observations: readonly Observation[],
  estimateOf: (question: Question) => Estimate,
): number {
  let sum = 0;
  let weights = 0;
  for (const { questions, residual, weight } of observations) {
    sum += weight * Math.hypot(residual(questions.map(estimateOf)), smoothing);
    weights += weight;
  }
  return sum / weights;
}

async function simulate(
  { observations, estimator, onProgress, signal }: FitOptions,
  constants: Constants,
): Promise<Point> {
  const estimates = new Map<string, Estimate>();
  const questions = allQuestions(observations);
  for (const question of questions) {
    signal?.throwIfAborted();
    onProgress?.(`simulating ${estimates.size + 1} of ${questions.length}`);
    estimates.set(keyOf(question), await estimator.estimate(question, constants));
  }
  const objective = objectiveOf(observations, (question) => estimates.get(keyOf(question))!);
  return { constants, estimates, objective };
}

/** At the start, for the questions that have none yet. */
async function measureSlopes(options: FitOptions): Promise<Slopes> {
  const { observations, estimator, start, onProgress, signal = currentSignal() } = options;
  const slopes = new Map(options.slopes);
  const questions = allQuestions(observations).filter((question) => !slopes.has(keyOf(question)));
  for (const [index, question] of questions.entries()) {
    signal?.throwIfAborted();
    onProgress?.(`slopes of ${index + 1} of ${questions.length}`);
    const own: Slope[] = [];
    for (const name of touching(question)) {
      const [from, to] = straddle(start, name);
      const low = await estimator.estimate(question, from);
      const high = await estimator.estimate(question, to);
      const apart = toScale(name, to[name]) - toScale(name, from[name]);
      own.push({
        name,
        speed: Math.log(high.tokensPerSecond / low.tokensPerSecond) / apart,
        use: Math.log(high.utilization / low.utilization) / apart,
      });
    }
    slopes.set(keyOf(question), own);
  }
  return slopes;
}

/** Two values of a constant, between which a slope is taken. */
function straddle(at: Constants, name: ConstantName): [low: Constants, high: Constants] {
  const { isChance = false, bounds } = definitionOf(name);
  // Acceptance changes the number of rounds, which is whole: a wide step to both sides evens that out.
  if (isChance) return [moved(at, name, -0.12), moved(at, name, 0.12)];
  return [at, moved(at, name, at[name] * 1.05 > bounds[1] ? -0.05 : 0.05)];
}

/** Compass search on the predictions that the slopes extrapolate. */
function bestWithin(
  region: number,
  { constants: center, estimates }: Point,
  slopes: Slopes,
  observations: readonly Observation[],
): Constants {
  const value = (constants: Constants) => {
    const offsets = Object.fromEntries(
      constantNames.map((name) => [name, toScale(name, constants[name]) - toScale(name, center[name])]),
    ) as Record<ConstantName, number>;
    const away = constantNames.reduce((sum, name) => sum + offsets[name] ** 2, 0);
    const extrapolated = new Map<string, Estimate>();
    for (const [key, estimate] of estimates)
      extrapolated.set(key, extrapolate(estimate, slopes.get(key)!, offsets));
    return objectiveOf(observations, (question) => extrapolated.get(keyOf(question))!) + pull * away;
  };
  let best = center;
  let least = value(best);
  for (let step = region / 2; step > region / 64; step /= 2)
    for (let hasProgress = true; hasProgress; ) {
      hasProgress = false;
      for (const name of constantNames)
        for (const direction of [-step, step]) {
          const candidate = moved(best, name, direction);
          const distance = toScale(name, candidate[name]) - toScale(name, center[name]);
          if (Math.abs(distance) > region * 1.0001) continue;
          const reached = value(candidate);
          if (reached >= least - 1e-7) continue;
          best = candidate;
          least = reached;
          hasProgress = true;
        }
    }
  return best;
}

function extrapolate(
  estimate: Estimate,
  slopes: readonly Slope[],
  offsets: Readonly<Record<ConstantName, number>>,
): Estimate {
  let speed = 0;
  let use = 0;
  for (const slope of slopes) {
    speed += slope.speed * offsets[slope.name];
    use += slope.use * offsets[slope.name];
  }
  return {
    tokensPerSecond: estimate.tokensPerSecond * Math.exp(speed),
    utilization: estimate.utilization * Math.exp(use),
  };
}

function moved(constants: Constants, name: ConstantName, step: number): Constants {
  const [least, most] = definitionOf(name).bounds;
  const value = fromScale(name, toScale(name, constants[name]) + step);
  return { ...constants, [name]: Math.min(most, Math.max(least, value)) };
}

function toScale(name: ConstantName, value: number): number {
  return definitionOf(name).isChance ? Math.log(value / (1 - value)) : Math.log(value);
}

function fromScale(name: ConstantName, place: number): number {
  return definitionOf(name).isChance ? 1 / (1 + Math.exp(-place)) : Math.exp(place);
}

function allQuestions(observations: readonly Observation[]): Question[] {
  const questions = new Map<string, Question>();
  for (const observation of observations)
    for (const question of observation.questions) questions.set(keyOf(question), question);
  return [...questions.values()];
}

function keyOf(question: Question): string {
  const { system, model, dataset, generationLength, variant, gpuMemoryGB, batchDivisor } = question;
  return [system, model, dataset, generationLength, variant, gpuMemoryGB, batchDivisor].join('|');
}
