/** Policies predicted over several seeds, all over the same ones: what is compared has met the same texts and delays. */

import { sum } from '../extremes.js';
import { type PreparedSimulation, prepareSimulation } from '../run/simulate.js';
import type { RunOutcome } from '../run/types.js';
import type { Policy } from '../schedule/policy.js';
import { usesDraft } from '../schedule/strategies/index.js';
import { jobOf, type PlanningJob } from './appraise.js';
import { type Contender, chosenBeside } from './space.js';

/**
 * Seeds over which a choice is made where nobody says how many. For Mixtral 8x7B on env1 a policy's throughput spreads by
 * 1.2 to 2.3 % over seeds; ratios of policies on common draws by 0.1 % where they share their rounds and 1.3 to 1.7 %
 * where they do not (2.2 to 3.2 % with draws in order). Nine seeds know the latter to about 1 %.
 */
export const defaultNumSeeds = 9;

/**
 * The seeds of a plan: the search has one, the choice others behind it, so that what was found because it was lucky on
 * the one is judged on the others.
 */
export function seedsOf(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + 1 + index);
}

/** A policy's predictions, one per seed. */
export interface Trial {
  readonly contender: Contender;
  /** Of the first so many seeds. */
  readonly outcomes: readonly RunOutcome[];
}

/** Predicts over growing numbers of seeds; nothing twice. */
export class Trials {
  readonly #job: PlanningJob;
  readonly #seeds: readonly number[];
  readonly #signal: AbortSignal | undefined;
  readonly #outcomes = new Map<string, RunOutcome[]>();
  readonly #simulations = new Map<string, PreparedSimulation>();
  #numPredictions = 0;
  #numTasks = 0;

  constructor(job: PlanningJob, seeds: readonly number[], signal?: AbortSignal) {
    this.#job = job;
    this.#seeds = seeds;
    this.#signal = signal;
  }

  /** Runs that were simulated. */
  get numPredictions(): number {
    return this.#numPredictions;
  }

  /** That these runs had together. */
  get numTasks(): number {
    return this.#numTasks;
  }

  /** @throws UserError when it does not fit. */
  async of(contender: Contender, numSeeds: number): Promise<Trial> {
    const key = `${contender.strategy}${chosenBeside(contender)} ${JSON.stringify(contender.policy)}`;
    const outcomes = this.#outcomes.get(key) ?? [];
    this.#outcomes.set(key, outcomes);
    for (const seed of this.#seeds.slice(outcomes.length, numSeeds)) {
      const [first] = outcomes;
      const isSettled = first !== undefined && !isDrawn(jobOf(this.#job, contender), first.policy);
      outcomes.push(isSettled ? first : await this.#predict(contender, key, seed));
    }
    return { contender, outcomes: outcomes.slice(0, numSeeds) };
  }

  async #predict(contender: Contender, key: string, seed: number): Promise<RunOutcome> {
    this.#numPredictions += 1;
    const simulation = this.#simulations.get(key) ?? simulationOf(this.#job, contender, this.#signal);
    this.#simulations.set(key, simulation);
    const { outcome } = await simulation.on(seed);
    this.#numTasks += tasksOf(outcome);
    return outcome;
  }
}

function tasksOf({ phases }: RunOutcome): number {
  const all = Object.values(phases).flatMap(({ lanes }) => Object.values(lanes));
  return sum(all.map(({ numTasks }) => numTasks));
}

/** Simulates one policy on the job's seed, with the draws that all policies share; its timeline is not made. */
export async function predict(
  job: PlanningJob,
  contender: Contender,
  signal?: AbortSignal,
): Promise<{ readonly outcome: RunOutcome }> {
  const { outcome } = await simulationOf(job, contender, signal).on(job.seed ?? 1);
  return { outcome };
}

function simulationOf(job: PlanningJob, contender: Contender, signal?: AbortSignal): PreparedSimulation {
  // Field by field: what a caller's job holds besides is not for the simulation.
  const { target, draft, drafter, promptLengths, maxNewTokens, machine, acceptance, routing } = jobOf(
    job,
    contender,
  );
  const { strategy, policy } = contender;
  return prepareSimulation({
    target,
    draft,
    promptLengths,
    maxNewTokens,
    machine,
    acceptance,
    strategy,
    policy,
    // Of the turns of the run that recorded it, whose rounds are others, nothing follows.
    draws: 'common',
    routing: routing && { rowsByExpert: routing.rowsByExpert },
    ...(drafter ? { drafter } : {}),
    ...(signal ? { signal } : {}),
  });
}

/** Whether anything of a policy's prediction depends on the seed. */
function isDrawn({ acceptance, machine }: PlanningJob, { speculation, experts }: Policy): boolean {
  const drawsAcceptance = usesDraft({ speculation }) && acceptance?.kind === 'rates';
  const drawsTimes = machine.lanes.some(({ variability }) => variability > 0);
  return drawsAcceptance || drawsTimes || experts === 'routed';
}

export function throughputs({ outcomes }: Trial): readonly number[] {
  return outcomes.map(({ tokensPerSecond }) => tokensPerSecond);
}

/** The outcome in the middle; of an even number the slower one of the two. */
export function middleOutcome({ outcomes }: Trial): RunOutcome {
  const sorted = [...outcomes].sort((a, b) => a.tokensPerSecond - b.tokensPerSecond);
  return sorted[(sorted.length - 1) >> 1];
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
