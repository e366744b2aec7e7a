/** A run's prediction: the same strategy, the same dispatcher, on a virtual machine. */

import { currentSignal, UserError } from '@specoffload/input';
import { type CostModel, createCostModel, modelFactsOf } from '../machine/cost-model.js';
import { computeLane, limitsOf, type MachineModel } from '../machine/machine-model.js';
import { predictEnergy } from '../machine/power.js';
import { createRandom } from '../model/random.js';
import type { Checkpoint } from '../model/types.js';
import { balancedShares, type HostShares, sheetRatesOf } from '../schedule/balance.js';
import type { Drafter } from '../schedule/drafter.js';
import type { DrafterName } from '../schedule/drafters.js';
import { followsRouters } from '../schedule/expert-cache.js';
import type { PolicyInput } from '../schedule/policy.js';
import { type Strategy, type StrategyName, strategyNamed, usesDraft } from '../schedule/strategies/index.js';
import { type Acceptance, assertAnswers, createCommonOracle, createOracle } from '../speculate/acceptance.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import type { LaneName } from '../topology/topology.js';
import type { MemoryLog } from '../trace/memory.js';
import type { Span } from '../trace/types.js';
import { countOperations, reportCrossbars } from './crossbar-report.js';
import { Dispatcher, toError } from './dispatcher.js';
import { generate } from './generate.js';
import { assertNewTokens, type Prepared, prepare, renew } from './prepare.js';
import type { RunOutcome, RunProgress } from './types.js';
import { VirtualMachine } from './virtual-machine.js';

/** To be raised when a change makes equal requests give other numbers: records of different versions are kept apart. */
export const predictionVersion = 1;

export interface SimulationRequest {
  /** Opened from a directory, or described by its configuration. */
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  /** Who proposes: by name, or one of the caller's own. @default model: the draft model */
  readonly drafter?: DrafterName | Drafter;
  /** Tokens of each prompt. */
  readonly promptLengths: readonly number[];
  /** By name, or one of the caller's own. */
  readonly strategy: StrategyName | Strategy;
  readonly policy?: PolicyInput;
  readonly maxNewTokens: number;
  readonly machine: MachineModel;
  /** Needed when the policy speculates. */
  readonly acceptance?: Acceptance | null;
  /**
   * How unequally a layer's experts are chosen: the spread (sigma) of their log-normal popularity, drawn anew for every pass;
   * where experts stay or come ahead once, since what is worth keeping depends on it. @default 0
   */
  readonly routingSkew?: number;
  /** In place of that, how often each expert was chosen, as a run of the target tells it. */
  readonly routing?: Pick<RoutingReport, 'rowsByExpert' | 'trace'> | undefined;
  /** With `expertPrefetch`: the share of the foreseen experts that are chosen. @default 0.85 */
  readonly routingPrecision?: number;
  /** Of the acceptance and the routing. @default 1 */
  readonly seed?: number;
  /**
   * `in-order`: one after the other, as they are asked for. `common`: the same for every policy of a seed, as far as it
   * meets the same tokens and tasks, so that policies can be compared pair by pair. @default in-order
   */
  readonly draws?: 'in-order' | 'common';
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

export interface SimulationResult extends RunOutcome {
  /** Its name. */
  readonly strategy: string;
  /** Ordered by start. */
  readonly spans: readonly Span[];
  /** For {@link memoryOverTime}. */
  readonly memoryLog: MemoryLog;
}

/** What comes of a simulation; its timeline is made when somebody asks for it. */
export interface Prediction {
  readonly outcome: RunOutcome;
  /** Ordered by start. */
  readonly spans: () => readonly Span[];
  readonly memoryLog: () => MemoryLog;
}

/** A run whose memory is planned, to be predicted on one seed or several. */
export interface PreparedSimulation {
  on(seed: number): Promise<Prediction>;
}

/**
 * Predicts a run.
 *
 * @throws UserError as `runEngine` where a request could not be served on that machine either (which limit, by how
 * much), and when the acceptance does not match the run.
 */
export async function simulateRun(request: SimulationRequest): Promise<SimulationResult> {
  const { outcome, spans, memoryLog } = await prepareSimulation(request).on(request.seed ?? 1);
  const result = { ...outcome, strategy: strategyNamed(request.strategy).name };
  return madeWhenAsked(result, { spans, memoryLog });
}

/** Mutates `result`. */
function madeWhenAsked<Result extends object, Makers extends Readonly<Record<string, () => unknown>>>(
  result: Result,
  makers: Makers,
): Result & { readonly [Name in keyof Makers]: ReturnType<Makers[Name]> } {
  for (const [name, make] of Object.entries(makers)) {
    const keep = (value: unknown) =>
      Object.defineProperty(result, name, { value, enumerable: true, configurable: true, writable: true });
    const get = () => {
      const value = make();
      keep(value);
      return value;
    };
    Object.defineProperty(result, name, { get, set: keep, enumerable: true, configurable: true });
  }
  return result as ReturnType<typeof madeWhenAsked<Result, Makers>>;
}

/** @throws UserError as {@link simulateRun}. */
export function prepareSimulation(request: SimulationRequest): PreparedSimulation {
  const { machine: model, maxNewTokens, promptLengths } = request;
  const { signal = currentSignal() } = request;
  assertNewTokens(maxNewTokens);
  signal?.throwIfAborted();
  const { acceptance = null } = request;
  const prepared = prepare(
    {
      ...request,
      prompts: imaginePrompts(promptLengths),
      ...(acceptance?.kind === 'recorded' ? { limits: acceptance.sequences.map((runs) => runs.length) } : {}),
    },
    limitsOf(model),
    model.formats,
  );
  if (usesDraft(prepared.policy)) {
    if (!acceptance)
      throw new UserError(
        `the strategy ${strategyNamed(request.strategy).name} speculates, so its prediction needs an acceptance; give rates by position or a recorded trace`,
      );
    const { candidates } = prepared.policy;
    assertAnswers(acceptance, { candidates, sequences: promptLengths.length, newTokens: maxNewTokens });
  }
  const { plan } = prepared;
  const costs = createCostModel(
    model,
    modelFactsOf(plan.target.checkpoint, model.formats),
    plan.draft ? modelFactsOf(plan.draft.checkpoint, model.formats) : undefined,
  );
  return { on: (seed) => simulate({ ...request, seed, signal }, renew(prepared), costs) };
}

interface SeededRequest extends Omit<SimulationRequest, 'signal'> {
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

async function simulate(request: SeededRequest, prepared: Prepared, costs: CostModel): Promise<Prediction> {
  const { machine: model, maxNewTokens, seed, signal, acceptance } = request;
  signal?.throwIfAborted();
  const { draws = 'in-order', routingSkew: skew, routing, routingPrecision: precision } = request;
  const isLasting = followsRouters(prepared.policy);
  const routed = { skew, routing, precision, isLasting };
  const answers = acceptance ?? neverAccepts;
  const { drafter, plan } = prepared;
  const draftLane = drafter?.laneIn(plan.routes, prepared.policy) ?? plan.routes.drafting.lane;
  const { interruptsDraft } = computeLane(model, draftLane);
  const machine = new VirtualMachine({
    costs,
    oracle:
      draws === 'common'
        ? createCommonOracle(answers, seed, routed)
        : createOracle(answers, createRandom(seed, 'simulation'), routed),
    lanes: model.lanes,
    interruptsDraft,
    drawFactor: createFactors(model, seed, draws),
    onStall: () => dispatcher.fail(new Error('nothing is left to do, but the run is not finished: a bug')),
  });
  const dispatcher = new Dispatcher(machine);
  const onAbort = () => dispatcher.fail(toError(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const { outcome, spans, memoryLog } = await generate({
      ...{ prepared, dispatcher, machine, maxNewTokens, isVirtual: true },
      ...{ interruptsDraft, hostShares: sharesOn(model, prepared, costs) },
      ...{ sampling: null, ends: { eosTokenIds: new Set() } },
      onProgress: request.onProgress,
      onPlaced: () => {},
    });
    const crossbars = reportCrossbars(model, plan);
    const operations = crossbars && countOperations(spans);
    const energy = predictEnergy(model, outcome.phases, outcome.newTokens, operations);
    return {
      outcome: { ...outcome, ...(crossbars ? { crossbars } : {}), ...(energy ? { energy } : {}) },
      ...{ spans: () => spans.toArray(), memoryLog },
    };
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** What the policy says, or what balances on the machine. */
function sharesOn(model: MachineModel, { plan, policy }: Prepared, costs: CostModel): HostShares | undefined {
  if (policy.balance === 'given') return undefined;
  return balancedShares({ plan, policy, costs, rates: sheetRatesOf(model, plan) });
}

/** Log-normal, of mean 1; with common draws each lane has its own, so that its n-th task always gets the same. */
function createFactors(
  { lanes: modelLanes }: MachineModel,
  seed: number,
  draws: SimulationRequest['draws'],
): (lane: LaneName) => number {
  const shared = createRandom(seed, 'durations');
  const ofLane = (lane: LaneName) => (draws === 'common' ? createRandom(seed, `durations ${lane}`) : shared);
  const lanes = new Map(
    modelLanes.map(({ name, variability }) => [name, { sigma: variability, random: ofLane(name) }]),
  );
  return (lane) => {
    const { sigma, random } = lanes.get(lane) as NonNullable<ReturnType<typeof lanes.get>>;
    return sigma === 0 ? 1 : Math.exp(sigma * random.normal() - (sigma * sigma) / 2);
  };
}

const neverAccepts: Acceptance = { kind: 'rates', name: 'none', byPosition: [0] };

/** Only the lengths of prompts matter; equal ones are one. */
function imaginePrompts(lengths: readonly number[]): (readonly number[])[] {
  const byLength = new Map<number, readonly number[]>();
  return lengths.map((length) => {
    const prompt = byLength.get(length) ?? new Array<number>(length).fill(0);
    byLength.set(length, prompt);
    return prompt;
  });
}
