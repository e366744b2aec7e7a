/** The planner: from a job to a choice among finalists, each predicted over several seeds, and how they differ. */

import { currentSignal, UserError } from '@specoffload/input';
import { formatOf } from '../model/packed.js';
import type { TargetFormat } from '../model/target-format.js';
import { assertSameVocabulary } from '../model/tokenizer.js';
import type { Checkpoint } from '../model/types.js';
import { assertNewTokens } from '../run/prepare.js';
import type { RunOutcome } from '../run/types.js';
import { drafterNamed } from '../schedule/drafters.js';
import type { AllowedValues, Policy, PolicyInput } from '../schedule/policy.js';
import { assertPromptsFit } from '../schedule/resolve.js';
import type { StrategyName } from '../schedule/strategies/index.js';
import { assertAnswers } from '../speculate/acceptance.js';
import type { LaneName } from '../topology/topology.js';
import type { Appraiser, PlanningJob } from './appraise.js';
import { climb, climbSeeds } from './climb.js';
import { aspects, chooseFinalists, decide } from './finalists.js';
import { defaultSimulations, type SearchProgress, search } from './search.js';
import { type Contender, nameOf, planMaySpeculate, planSpace } from './space.js';
import { defaultNumSeeds, middleOutcome, seedsOf, type Trial, Trials, throughputs } from './trials.js';

export interface PlanRequest extends PlanningJob {
  /** Leaves out every other strategy. @default none, serial and specoffload */
  readonly strategies?: readonly StrategyName[];
  /** Fields that the planner leaves as they are. */
  readonly fixed?: PolicyInput;
  /** Values that fields are held to. */
  readonly allowed?: AllowedValues;
  /** Policies that are tried in any case. */
  readonly known?: readonly KnownPolicy[];
  /** That the search may spend on its one seed, the job's. @default 24 */
  readonly mostSimulations?: number;
  /** Over which finalists are decided: those behind the job's. @default 9 */
  readonly numSeeds?: number;
  readonly onProgress?: (progress: SearchProgress) => void;
  readonly signal?: AbortSignal;
}

export interface PlannedPolicy {
  readonly strategy: StrategyName;
  /** Complete, as predicted. */
  readonly policy: Policy;
  /** What to ask for to get it: fields left out are the engine's to settle. */
  readonly input: PolicyInput;
  /** On the seed in the middle, by tokens per second. */
  readonly outcome: RunOutcome;
  /** On the first so many of the plan's seeds: all of them for the choice, fewer for what was soon behind. */
  readonly tokensPerSecondBySeed: readonly number[];
  readonly estimatedTokensPerSecond: number;
  readonly busiest: BusiestLane;
  /** Who proposes, where there was a choice among several and somebody does. */
  readonly drafter?: string;
  /** How the target's weights are stored, where that is otherwise than the job has them and there was a choice. */
  readonly targetFormat?: TargetFormat;
}

/** Of a plan for another job: the engine settles for this one what `input` leaves out. */
export type KnownPolicy = Pick<PlannedPolicy, 'strategy' | 'policy' | 'input'>;

/** The lane that has most to do, and what a run could reach if it did nothing else, without a gap. */
export interface BusiestLane {
  readonly lane: LaneName;
  readonly busySeconds: number;
  /** Share of the run's time, 0 to 1. */
  readonly utilization: number;
  /** newTokens / busySeconds. */
  readonly boundTokensPerSecond: number;
}

/** The best policy found that differs from the choice in kind. */
export interface Alternative {
  readonly planned: PlannedPolicy;
  /** In what: the name of each aspect, the choice's value and the alternative's. */
  readonly differences: readonly {
    readonly aspect: string;
    readonly choice: string;
    readonly value: string;
  }[];
}

export interface Plan {
  /** The finalists: the choice, then the others by the median of their ratios to it, seed by seed. */
  readonly ranked: readonly PlannedPolicy[];
  /** The best finalist of each way of speculating, in the same order. */
  readonly bestByWay: readonly PlannedPolicy[];
  /** The best finalist of every kind but the choice's, in the same order. */
  readonly alternatives: readonly Alternative[];
  /** What was drawn for the finalists: acceptances and task times, the same for all of them. */
  readonly seeds: readonly number[];
  /** Of the search, which is none of those. */
  readonly searchSeed: number;
  /** Different policies looked at in closed form. */
  readonly numConsidered: number;
  /** Contenders refused for their memory. */
  readonly numRefused: number;
  /** Policies that the search simulated. */
  readonly numSimulated: number;
  /** Runs that the climb from the best of these simulated, on further seeds. */
  readonly numClimbed: number;
  /** Simulations in all, of the search, of the climb and of the finalists. */
  readonly numPredictions: number;
}

/** Runs that a climb may predict, for each simulation that the search may spend: fewer where fewer seeds are to decide. */
const climbsPerSimulation = 5;
/** And tasks in all of them: some seconds, however large a run is. */
const climbTasks = 800_000;

/**
 * Finds the fastest policy for a job.
 * @throws UserError when no policy fits (which limit, by how much), or the job itself cannot be served.
 */
export async function planRun(request: PlanRequest): Promise<Plan> {
  assertJob(request);
  const { mostSimulations, numSeeds = defaultNumSeeds, onProgress } = request;
  const { signal = currentSignal() } = request;
  const families = planSpace({
    ...request,
    numPrompts: request.promptLengths.length,
  });
  if (families.length === 0)
    throw new UserError(
      'there is nothing to plan: the strategies and fields asked for leave no policy; ask for less, or give a draft',
    );
  const found = await search(request, families, {
    ...(mostSimulations === undefined ? {} : { mostSimulations }),
    known: request.known?.map(toContender),
    signal,
    onProgress,
  });
  const { predicted, numConsidered, numRefused, appraiser } = found;
  if (predicted.length === 0)
    throw appraiser.refusal ?? new UserError('there is no policy that fits; use larger budgets');
  const searchSeed = request.seed ?? 1;
  const seeds = seedsOf(searchSeed, numSeeds);
  const climbing = new Trials(request, seedsOf(searchSeed + numSeeds, climbSeeds), signal);
  const trials = new Trials(request, seeds, signal);
  const onTried = () =>
    onProgress?.({
      numSimulated: predicted.length + climbing.numPredictions + trials.numPredictions,
      mostSimulations: null,
      tokensPerSecond: predicted[0].outcome.tokensPerSecond,
    });
  const [leader] = predicted;
  const summit = await climb(leader.contender, {
    ...{ families, appraiser, trials: climbing, onTried },
    mostPredictions: climbBudget(mostSimulations ?? defaultSimulations, numSeeds),
    mostTasks: climbTasks,
  });
  const finalists = chooseFinalists(found, families, appraiser.appraise(summit));
  const decided = await decide(trials, finalists, numSeeds, onTried);
  const ranked = decided.map((trial) => toPlanned(trial, appraiser));
  return {
    ranked,
    bestByWay: firstOfEach(ranked, ({ policy }) => policy.speculation),
    alternatives: alternativesTo(ranked),
    seeds,
    searchSeed,
    numConsidered,
    numRefused,
    numSimulated: predicted.length,
    numClimbed: climbing.numPredictions,
    numPredictions: predicted.length + climbing.numPredictions + trials.numPredictions,
  };
}

/** On one seed nothing is decided, and what is asked for briefly is not searched for longer either. */
function climbBudget(mostSimulations: number, numSeeds: number): number {
  const share = Math.min(1, (numSeeds - 1) / (defaultNumSeeds - 1));
  return Math.floor(share * climbsPerSimulation * mostSimulations);
}

/** The first finalist of every kind; the choice's own kind is no alternative. */
function alternativesTo(ranked: readonly PlannedPolicy[]): Alternative[] {
  const [choice] = ranked;
  const kindOf = ({ strategy, policy, drafter, targetFormat }: PlannedPolicy) =>
    aspects.map(({ inWords }) => inWords(strategy, policy, drafter ?? null, targetFormat ?? null));
  const own = kindOf(choice);
  return firstOfEach(ranked, (planned) => kindOf(planned).join('; ')).flatMap((planned) => {
    const differences = kindOf(planned).flatMap((value, index) =>
      value === own[index] ? [] : [{ aspect: aspects[index].name, choice: own[index], value }],
    );
    return differences.length === 0 ? [] : [{ planned, differences }];
  });
}

function firstOfEach<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const first = new Map<string, T>();
  for (const item of items) if (!first.has(keyOf(item))) first.set(keyOf(item), item);
  return [...first.values()];
}

export function assertJob(request: PlanRequest): void {
  const { proposers } = request;
  if (proposers?.length === 0)
    throw new UserError('there is nobody to choose among for proposing; give at least one drafter');
  for (const proposer of proposers ?? [{}]) assertProposed({ ...request, ...proposer });
}

function assertProposed(request: PlanRequest): void {
  const { target, promptLengths, maxNewTokens, acceptance } = request;
  const drafter = planMaySpeculate(request) ? drafterNamed(request.drafter, request.draft) : null;
  const draft = drafter?.checkpoint ?? null;
  assertNewTokens(maxNewTokens);
  assertPromptsFit(
    target,
    draft,
    [...new Set(promptLengths)].map((length) => new Array<number>(length).fill(0)),
    maxNewTokens,
  );
  if (!drafter) return;
  if (draft)
    assertSameVocabulary({ checkpoint: target, tokenizer: null }, { checkpoint: draft, tokenizer: null });
  if (acceptance)
    assertAnswers(acceptance, {
      candidates: request.fixed?.candidates ?? 1,
      newTokens: maxNewTokens,
      sequences: promptLengths.length,
    });
  else
    throw new UserError(
      'planning with a draft needs an acceptance; give a rate, rates by position or a recorded trace, or plan without a draft',
    );
}

function toContender({ strategy, policy, input }: KnownPolicy): Contender {
  return { strategy, policy: { ...input, speculation: policy.speculation } };
}

/** The target as a finalist has it stored. */
export function targetOf(
  { target, storedOtherwise = [] }: Pick<PlanRequest, 'target' | 'storedOtherwise'>,
  { targetFormat }: Pick<PlannedPolicy, 'targetFormat'>,
): Checkpoint {
  if (targetFormat === undefined) return target;
  return storedOtherwise.find((one) => formatOf(one) === targetFormat) ?? target;
}

export function toPlanned(trial: Trial, appraiser: Appraiser): PlannedPolicy {
  const { strategy, policy: input, proposer, target } = trial.contender;
  const outcome = middleOutcome(trial);
  const drafter = nameOf(proposer);
  const targetFormat = target ? formatOf(target) : null;
  return {
    ...(drafter === null ? {} : { drafter }),
    ...(targetFormat === null ? {} : { targetFormat }),
    strategy,
    policy: outcome.policy,
    input,
    outcome,
    tokensPerSecondBySeed: throughputs(trial),
    estimatedTokensPerSecond: appraiser.appraise(trial.contender)?.tokensPerSecond ?? Number.NaN,
    busiest: busiestLane(outcome),
  };
}

export function busiestLane({ phases, newTokens, seconds }: RunOutcome): BusiestLane {
  const busy = (lane: LaneName) =>
    phases.prefill.lanes[lane].busySeconds + phases.decode.lanes[lane].busySeconds;
  const lane = Object.keys(phases.decode.lanes).reduce((most, next) =>
    busy(next) > busy(most) ? next : most,
  );
  const busySeconds = busy(lane);
  return {
    lane,
    busySeconds,
    utilization: busySeconds / seconds,
    boundTokensPerSecond: newTokens / busySeconds,
  };
}
