/** Whether proposing pays: a policy that speculates against the same one that does not, in closed form. */

import { draftFieldNames, type PolicyInput } from '../schedule/policy.js';
import { speculationsOf, strategyNamed } from '../schedule/strategies/index.js';
import { Appraiser, type PlanningJob } from './appraise.js';
import type { Contender } from './space.js';

export interface Payoff {
  readonly tokensPerSecond: number;
  /** Of the same policy, or of the strategy none where that always proposes, with nothing proposed. */
  readonly plainTokensPerSecond: number;
}

/** @returns null where one of both does not fit, or the acceptance does not answer for it */
export function payoffOf(job: PlanningJob, contender: Contender): Payoff | null {
  const appraiser = new Appraiser(job);
  const proposing = appraiser.appraise(contender);
  const plain = proposing && appraiser.appraise(withoutProposing(contender, proposing.policy.batches));
  if (!plain) return null;
  return {
    tokensPerSecond: proposing.tokensPerSecond,
    plainTokensPerSecond: plain.tokensPerSecond,
  };
}

/** @param batches that it has in flight, which are one without anybody who proposes */
function withoutProposing({ strategy, policy }: Contender, batches: number): Contender {
  const others = Object.fromEntries(Object.entries(policy).filter(([name]) => !aboutProposing.has(name)));
  const { decodeBatch } = policy;
  const kept: PolicyInput = {
    ...others,
    ...(decodeBatch === undefined ? {} : { decodeBatch: decodeBatch * batches }),
  };
  return speculationsOf(strategyNamed(strategy)).includes('none')
    ? { strategy, policy: { ...kept, speculation: 'none' } }
    : { strategy: 'none', policy: kept };
}

const aboutProposing: ReadonlySet<string> = new Set([...draftFieldNames, 'speculation', 'batches']);
