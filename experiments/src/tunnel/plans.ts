/** What the planner picks inside a tunnel: with a draft to its choice, and without one. */

import {
  type Acceptance,
  type AcceptanceReport,
  type Checkpoint,
  localPolicyFields,
  type MachineModel,
  type Policy,
  planRun,
  type StrategyName,
} from '@specoffload/engine';

/** A pick, complete: nothing of it is left for a run to settle. */
export interface TunnelPlan {
  readonly strategy: StrategyName;
  readonly policy: Policy;
  /** Predicted. */
  readonly tokensPerSecond: number;
}

export interface TunnelPlans {
  /** It may speculate, and need not. */
  readonly withDraft: TunnelPlan;
  readonly withoutDraft: TunnelPlan;
}

export interface PlansRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  /** With the tunnel's caps and budgets, and its draft's speed. */
  readonly machine: MachineModel;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  readonly acceptance: Acceptance;
  readonly signal: AbortSignal;
}

/** @throws UserError when nothing fits. */
export async function planInTunnel({ draft, acceptance, ...job }: PlansRequest): Promise<TunnelPlans> {
  const plan = async (own: Checkpoint | null): Promise<TunnelPlan> => {
    const { ranked } = await planRun({
      ...{ ...job, draft: own, allowed: localPolicyFields },
      acceptance: own && acceptance,
    });
    const { strategy, policy, outcome } = ranked[0]!;
    return { strategy, policy, tokensPerSecond: outcome.tokensPerSecond };
  };
  return { withDraft: await plan(draft), withoutDraft: await plan(null) };
}

/** One rate for every position: of the candidates whose predecessors stood, those that stood too. */
export function rateOf({ byPosition }: AcceptanceReport): Acceptance {
  let tried = 0;
  let accepted = 0;
  for (const [position, count] of byPosition.entries()) {
    tried += position === 0 ? count.proposed : Math.min(count.proposed, byPosition[position - 1]!.accepted);
    accepted += count.accepted;
  }
  const rate = Number((accepted / tried).toPrecision(2));
  return { kind: 'rates', name: String(rate), byPosition: [rate] };
}
