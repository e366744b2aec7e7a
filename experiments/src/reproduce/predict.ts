/** Predictions by simulation: whole runs for the report, and shortened ones for the search of a fit. */

import {
  limitsOf,
  type SimulationRequest,
  type SimulationResult,
  simulateRun,
  UserError,
  withBudgets,
} from '@specoffload/engine';
import { type ConstantName, type Constants, constantNames, definitionOf } from './constants.js';
import type { Question } from './question.js';
import { type Scripts, toRequest } from './systems.js';

export interface Prediction {
  readonly question: Question;
  readonly request: SimulationRequest;
  readonly result: SimulationResult;
  /** Counted as published: everything that was generated, over prefill and decode. */
  readonly tokensPerSecond: number;
  /** Of the device, in decode, 0 to 1. */
  readonly utilization: number;
}

/** What a fit looks at. */
export type Estimate = Pick<Prediction, 'tokensPerSecond' | 'utilization'>;

/** @throws UserError when the run does not fit the machine; the signal's reason when it aborts. */
export async function predict(
  question: Question,
  scripts: Scripts,
  constants: Constants,
  signal?: AbortSignal,
): Promise<Prediction> {
  const request = toRequest(question, scripts, constants);
  return { question, ...(await predictRequest({ ...request, ...(signal ? { signal } : {}) })) };
}

/** What a question became; see {@link predict}. */
export async function predictRequest(asked: SimulationRequest): Promise<Omit<Prediction, 'question'>> {
  const { request, result } = await simulateFitting(asked);
  return {
    ...{ request, result },
    tokensPerSecond: result.generatedTokens / result.seconds,
    utilization: result.phases.decode.lanes.device.utilization,
  };
}

/**
 * Layers that FlexGen keeps on the GPU make way for what this engine needs besides: it holds a block's activations on
 * the device, where FlexGen moves them out.
 */
async function simulateFitting(
  request: SimulationRequest,
): Promise<{ readonly request: SimulationRequest; readonly result: SimulationResult }> {
  for (let smaller = request; ; ) {
    try {
      return { request: smaller, result: await simulateRun(smaller) };
    } catch (error) {
      const { pinnedLayers = 0 } = smaller.policy ?? {};
      if (!(error instanceof UserError) || pinnedLayers === 0) throw error;
      smaller = { ...smaller, policy: { ...smaller.policy, pinnedLayers: pinnedLayers - 1 } };
    }
  }
}

/** New tokens of a shortened run: the prefill's and three decode steps'. */
const shortRun = 4;

/**
 * Without speculation every decode step does the same with one more token of context, so prefill and a few steps at
 * the mean context tell what a long run takes. With speculation the run is simulated as it is.
 */
export async function estimate(
  question: Question,
  scripts: Scripts,
  constants: Constants,
): Promise<Estimate> {
  if (question.system === 'SpecOffload' || question.generationLength <= 2 * shortRun) {
    const { tokensPerSecond, utilization } = await predict(question, scripts, constants);
    return { tokensPerSecond, utilization };
  }
  const steps = question.generationLength - 1;
  const { request, result: prefill } = await simulateFitting({
    ...toRequest(question, scripts, constants),
    maxNewTokens: 1,
  });
  const extraTokens = Math.round((steps - shortRun + 1) / 2);
  const { deviceBytes } = limitsOf(request.machine);
  const { phases } = await simulateRun({
    ...request,
    maxNewTokens: shortRun,
    promptLengths: request.promptLengths.map((tokens) => tokens + extraTokens),
    // Longer prompts stand for later steps; the room that they would need is not asked of the real machine.
    machine: withBudgets(request.machine, { deviceBytes: 2 * deviceBytes }),
  });
  const seconds = prefill.seconds + (phases.decode.seconds / (shortRun - 1)) * steps;
  return {
    tokensPerSecond: (request.promptLengths.length * question.generationLength) / seconds,
    utilization: phases.decode.lanes.device.utilization,
  };
}

/** Remembers estimates by the constants that they depend on: a search changes one at a time. */
export class Estimator {
  readonly #scripts: Scripts;
  readonly #known = new Map<string, Estimate>();
  /** Simulations so far, without those that were remembered. */
  simulations = 0;

  constructor(scripts: Scripts) {
    this.#scripts = scripts;
  }

  async estimate(question: Question, constants: Constants): Promise<Estimate> {
    const values = touching(question).map((name) => constants[name]);
    const key = JSON.stringify([question, values]);
    const known = this.#known.get(key);
    if (known) return known;
    const estimated = await estimate(question, this.#scripts, constants);
    this.simulations += 1;
    this.#known.set(key, estimated);
    return estimated;
  }
}

/** The constants that a prediction depends on. */
export function touching(question: Question): ConstantName[] {
  return constantNames.filter((name) => definitionOf(name).touches(question));
}
