/** Two ways of counting tokens: those within each sequence's own limit, and all, as the paper's released code counts. */

import { type PolicyInput, type StrategyName, speculates } from '@specoffload/engine';

export const accountings = ['useful', 'as-published'] as const;

export type Accounting = (typeof accountings)[number];

/** Counting as published, a speculating run goes on until its batch's slowest sequence is there. */
export function withAccounting(
  strategy: StrategyName,
  policy: PolicyInput,
  accounting: Accounting,
): PolicyInput {
  const endsLate = accounting === 'as-published' && speculates(strategy, policy);
  return { ...(endsLate ? { ending: 'slowest' } : {}), ...policy };
}
