/** The planner: from a job to ranked policies, each with its prediction and what holds it back. */

import { UserError } from '@specoffload/input';
import { assertSameVocabulary } from '../model/tokenizer.js';
import { assertNewTokens } from '../run/prepare.js';
import type { RunOutcome } from '../run/types.js';
import type { Policy, PolicyInput, StrategyName } from '../schedule/policy.js';
import { assertPromptsFit } from '../schedule/resolve.js';
import { type LaneName, laneNames } from '../trace/types.js';
import type { PlanningJob } from './appraise.js';
import { type Predicted, type SearchProgress, search } from './search.js';
import { type AllowedValues, planMaySpeculate, planSpace } from './space.js';

export interface PlanRequest extends PlanningJob {
  /** Leaves out every other strategy. @default none, serial and specoffload */
  readonly strategies?: readonly StrategyName[];
  /** Fields that the planner leaves as they are. */
  readonly fixed?: PolicyInput;
  /** Values that fields are held to, such as `localPolicyFields`. */
  readonly allowed?: AllowedValues;
  /** @default 30 */
  readonly mostSimulations?: number;
  readonly onProgress?: (progress: SearchProgress) => void;
  readonly signal?: AbortSignal;
}

export interface PlannedPolicy {
  readonly strategy: StrategyName;
  /** Complete, as predicted. */
  readonly policy: Policy;
  /** What to ask for to get it: fields left out are the engine's to settle. */
  readonly input: PolicyInput;
  readonly outcome: RunOutcome;
  readonly estimatedTokensPerSecond: number;
  readonly binding: Binding;
}

/** The lane that has most to do, and what a run could reach if it did nothing else, without a gap. */
export interface Binding {
  readonly lane: LaneName;
  readonly busySeconds: number;
  /** Share of the run's time, 0 to 1. */
  readonly utilization: number;
  /** newTokens / busySeconds. */
  readonly boundTokensPerSecond: number;
}

export interface Plan {
  /** Fastest first, at least one. */
  readonly ranked: readonly PlannedPolicy[];
  /** The best of each way of speculating, fastest first. */
  readonly bestByWay: readonly PlannedPolicy[];
  /** Different policies looked at in closed form. */
  readonly numConsidered: number;
  /** Candidates refused for their memory. */
  readonly numRefused: number;
  readonly numSimulated: number;
}

/**
 * Finds the fastest policy for a job.
 * @throws UserError when no policy fits (which limit, by how much), or the job itself cannot be served.
 */
export async function planRun(request: PlanRequest): Promise<Plan> {
  assertJob(request);
  const families = planSpace({ ...request, numPrompts: request.promptLengths.length });
  if (families.length === 0)
    throw new UserError(
      'there is nothing to plan: the strategies and fields asked for leave no policy; ask for less, or give a draft',
    );
  const { mostSimulations, signal, onProgress } = request;
  const { predicted, numConsidered, numRefused, appraiser } = await search(request, families, {
    ...(mostSimulations === undefined ? {} : { mostSimulations }),
    ...{ signal, onProgress },
  });
  if (predicted.length === 0)
    throw appraiser.refusal ?? new UserError('there is no policy that fits; use larger budgets');
  const ranked = predicted.map(toPlanned);
  const ways = new Map<string, PlannedPolicy>();
  for (const planned of ranked)
    if (!ways.has(planned.policy.speculation)) ways.set(planned.policy.speculation, planned);
  return {
    ...{ ranked, bestByWay: [...ways.values()] },
    ...{ numConsidered, numRefused, numSimulated: predicted.length },
  };
}

function assertJob(request: PlanRequest): void {
  const { target, promptLengths, maxNewTokens, acceptance } = request;
  const draft = planMaySpeculate(request) ? request.draft : null;
  assertNewTokens(maxNewTokens);
  assertPromptsFit(
    target,
    draft,
    [...new Set(promptLengths)].map((length) => new Array<number>(length).fill(0)),
    maxNewTokens,
  );
  if (!draft) return;
  assertSameVocabulary({ checkpoint: target, tokenizer: null }, { checkpoint: draft, tokenizer: null });
  if (!acceptance)
    throw new UserError(
      'planning with a draft needs an acceptance; give a rate, rates by position or a recorded trace, or plan without a draft',
    );
}

function toPlanned({ candidate, outcome, appraisal }: Predicted): PlannedPolicy {
  return {
    ...{ strategy: candidate.strategy, policy: outcome.policy, input: candidate.policy, outcome },
    estimatedTokensPerSecond: appraisal.tokensPerSecond,
    binding: bindingLane(outcome),
  };
}

export function bindingLane({ phases, newTokens, seconds }: RunOutcome): Binding {
  const busy = (lane: LaneName) =>
    phases.prefill.lanes[lane].busySeconds + phases.decode.lanes[lane].busySeconds;
  const lane = laneNames.reduce((most, next) => (busy(next) > busy(most) ? next : most));
  const busySeconds = busy(lane);
  return {
    ...{ lane, busySeconds, utilization: busySeconds / seconds },
    boundTokensPerSecond: newTokens / busySeconds,
  };
}
