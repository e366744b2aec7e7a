/**
 * Fits the constants to what was published, through the simulator: simulate, see how every prediction answers to a
 * small change of every constant it depends on, let these slopes stand for the simulator within a small region, move
 * to the region's best point, and begin again there. Deterministic.
 */

import { type ConstantName, type Constants, constantNames, definitionOf } from './constants.js';
import type { Observation } from './observations.js';
import { type Estimate, type Estimator, touching } from './predict.js';
import type { Question } from './systems.js';

export interface Fit {
  readonly constants: Constants;
  /** What the search made small: see {@link objectiveOf}. */
  readonly objective: number;
}

export interface FitOptions {
  readonly start: Constants;
  readonly observations: readonly Observation[];
  readonly estimator: Estimator;
  /** Rounds of simulating all slopes; 0 moves along `slopes` alone. */
  readonly rounds: number;
  /** Those of an earlier fit to begin with: a held-out fit starts where the whole one ended. */
  readonly slopes?: Slopes;
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Predictions at one point, and how their logarithms change with every constant's place on its scale. */
export interface Slopes {
  readonly at: Constants;
  readonly byQuestion: ReadonlyMap<string, QuestionSlopes>;
}

interface QuestionSlopes {
  readonly estimate: Estimate;
  readonly slopes: readonly { readonly name: ConstantName; readonly speed: number; readonly use: number }[];
}

/** How far a round may move a constant on its scale (logarithm or log-odds). */
const largestRegion = 0.25;
const smallestRegion = 0.02;
/** Errors below this hardly count, so that the search does not stop at the corner of an absolute value. */
const smoothing = 0.01;
/** Pulls constants that nothing depends on back to where the region's middle is. */
const pull = 0.01;

export async function fit(options: FitOptions): Promise<Fit & { readonly slopes: Slopes }> {
  const { observations, estimator, rounds, onProgress, signal } = options;
  let constants = options.start;
  let objective = await evaluate(observations, estimator, constants);
  let slopes = options.slopes ?? (await measureSlopes(options, constants));
  let region = largestRegion;
  for (let round = 0; region >= smallestRegion; ) {
    signal?.throwIfAborted();
    const next = bestWithin(region, constants, slopes, observations);
    const reached = await evaluate(observations, estimator, next);
    const isBetter = reached < objective - 1e-4;
    onProgress?.(
      `round ${round + 1}: ${(100 * (isBetter ? reached : objective)).toFixed(2)} %, ${estimator.simulations} simulations`,
    );
    if (!isBetter) {
      region /= 2;
      continue;
    }
    constants = next;
    objective = reached;
    round += 1;
    if (round >= rounds) break;
    slopes = await measureSlopes(options, constants);
  }
  return { constants, objective, slopes };
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

async function evaluate(
  observations: readonly Observation[],
  estimator: Estimator,
  constants: Constants,
): Promise<number> {
  const estimates = new Map<string, Estimate>();
  for (const question of allQuestions(observations))
    estimates.set(keyOf(question), await estimator.estimate(question, constants));
  return objectiveOf(observations, (question) => estimates.get(keyOf(question))!);
}

async function measureSlopes(
  { observations, estimator, onProgress, signal }: FitOptions,
  at: Constants,
): Promise<Slopes> {
  const byQuestion = new Map<string, QuestionSlopes>();
  const questions = allQuestions(observations);
  /** Predictions at two values of a constant, and how far apart these are on its scale. */
  const straddle = async (question: Question, name: ConstantName) => {
    const { isChance = false, bounds } = definitionOf(name);
    // Acceptance changes the number of rounds, which is whole: a wide step to both sides evens that out.
    const step = isChance ? 0.12 : at[name] * 1.05 > bounds[1] ? -0.05 : 0.05;
    const low = isChance ? moved(at, name, -step) : at;
    const high = moved(at, name, step);
    const apart = toScale(name, high[name]) - toScale(name, low[name]);
    return [
      await estimator.estimate(question, low),
      await estimator.estimate(question, high),
      apart,
    ] as const;
  };
  for (const [index, question] of questions.entries()) {
    signal?.throwIfAborted();
    onProgress?.(`slopes of ${index + 1} of ${questions.length}, ${estimator.simulations} simulations`);
    const slopes: QuestionSlopes['slopes'][number][] = [];
    for (const name of touching(question)) {
      const [low, high, apart] = await straddle(question, name);
      slopes.push({
        name,
        speed: Math.log(high.tokensPerSecond / low.tokensPerSecond) / apart,
        use: Math.log(high.utilization / low.utilization) / apart,
      });
    }
    byQuestion.set(keyOf(question), { estimate: await estimator.estimate(question, at), slopes });
  }
  return { at, byQuestion };
}

/** Compass search on the predictions that the slopes extrapolate. */
function bestWithin(
  region: number,
  center: Constants,
  slopes: Slopes,
  observations: readonly Observation[],
): Constants {
  const value = (constants: Constants) => {
    const offsets = Object.fromEntries(
      constantNames.map((name) => [name, toScale(name, constants[name]) - toScale(name, slopes.at[name])]),
    ) as Record<ConstantName, number>;
    const away = constantNames.reduce(
      (sum, name) => sum + (toScale(name, constants[name]) - toScale(name, center[name])) ** 2,
      0,
    );
    const extrapolated = new Map<string, Estimate>();
    for (const [key, question] of slopes.byQuestion) extrapolated.set(key, extrapolate(question, offsets));
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
  { estimate, slopes }: QuestionSlopes,
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
