/** Answers to questions, each predicted once however many figures ask it. */

import type { Constants } from './constants.js';
import { type Estimate, Estimator, type Prediction, predict } from './predict.js';
import type { Question } from './question.js';
import type { Scripts } from './systems.js';

export type Answer = (question: Question) => Promise<Estimate>;

export interface AnswerOptions {
  readonly scripts: Scripts;
  readonly constants: Constants;
  /** Shortened runs. */
  readonly isQuick: boolean;
  /** Called with every whole run. */
  readonly onPrediction: (prediction: Prediction) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

export function createAnswerer(options: AnswerOptions): Answer {
  const { scripts, constants, isQuick, onPrediction, signal } = options;
  const estimator = new Estimator(scripts);
  const answers = new Map<string, Estimate>();
  return async (question) => {
    signal?.throwIfAborted();
    if (isQuick) return estimator.estimate(question, constants);
    const key = JSON.stringify(Object.entries(question).sort());
    const known = answers.get(key);
    if (known) return known;
    const prediction = await predict(question, scripts, constants, signal);
    const { tokensPerSecond, utilization } = prediction;
    answers.set(key, { tokensPerSecond, utilization });
    await onPrediction(prediction);
    return { tokensPerSecond, utilization };
  };
}
