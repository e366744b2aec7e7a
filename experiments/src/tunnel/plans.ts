/** What the planner picks inside a tunnel: with a draft to its choice, without one, of FlexGen alone, and packed. */

import {
  type Acceptance,
  type AcceptanceReport,
  type Checkpoint,
  type MachineModel,
  type PlannedPolicy,
  type PlanRequest,
  type Policy,
  planRun,
  type StrategyName,
} from '@specoffload/engine';
import { unlessRefused } from '../terminal/errors.js';

/** A pick, complete: nothing of it is left for a run to settle. */
export interface TunnelPlan {
  readonly strategy: StrategyName;
  readonly policy: Policy;
  /** Predicted. */
  readonly tokensPerSecond: number;
}

/** null where nothing fits. */
export interface TunnelPlans {
  /** It may speculate, and need not. */
  readonly withDraft: TunnelPlan | null;
  readonly withoutDraft: TunnelPlan | null;
  /** FlexGen at its best batches with its own best draft. */
  readonly flexgen: TunnelPlan | null;
  /** It may speculate, with weights packed without loss. */
  readonly packed: TunnelPlan | null;
  readonly flexgenPacked: TunnelPlan | null;
}

export interface PlansRequest {
  readonly target: Checkpoint;
  /** The same, packed; null where nothing of it can be. */
  readonly packed: Checkpoint | null;
  readonly draft: Checkpoint;
  /** With the tunnel's caps and budgets, and its draft's speed. */
  readonly machine: MachineModel;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  readonly acceptance: Acceptance;
  readonly signal: AbortSignal;
}

export async function planInTunnel(request: PlansRequest): Promise<TunnelPlans> {
  const { draft, acceptance, packed, ...job } = request;
  const drafting = { ...job, draft, acceptance };
  const withDraft = await plan(drafting);
  const flexgen = await plan({ ...drafting, strategies: ['flexgen'] });
  // What is good for the weights as they are is at least to be beaten.
  const planPacked = async (plain: PlannedPolicy | null, more: Pick<PlanRequest, 'strategies'> = {}) =>
    packed && plan({ ...drafting, ...more, target: packed, known: plain ? [plain] : [] });
  return {
    withDraft: toTunnelPlan(withDraft),
    withoutDraft: toTunnelPlan(await plan({ ...job, draft: null, acceptance: null })),
    flexgen: toTunnelPlan(flexgen),
    packed: toTunnelPlan(await planPacked(withDraft)),
    flexgenPacked: toTunnelPlan(await planPacked(flexgen, { strategies: ['flexgen'] })),
  };
}

async function plan(request: PlanRequest): Promise<PlannedPolicy | null> {
  return (await unlessRefused(() => planRun(request)))?.ranked[0] ?? null;
}

function toTunnelPlan(planned: PlannedPolicy | null): TunnelPlan | null {
  if (planned === null) return null;
  const { strategy, policy, outcome } = planned;
  return { strategy, policy, tokensPerSecond: outcome.tokensPerSecond };
}

/** One rate for every position: of the candidates whose predecessors stood, those that stood too. */
export function rateOf({ byPosition }: AcceptanceReport): Acceptance {
  let tried = 0;
  let accepted = 0;
  for (const [position, count] of byPosition.entries()) {
    tried += position === 0 ? count.proposed : Math.min(count.proposed, byPosition[position - 1].accepted);
    accepted += count.accepted;
  }
  const rate = Number((accepted / tried).toPrecision(2));
  return { kind: 'rates', name: String(rate), byPosition: [rate] };
}
