/** Whether a command looks at a draft at all, and the sentence about one that was given in vain. */

import {
  type PolicyInput,
  planMaySpeculate,
  type StrategyName,
  speculates,
  speculationsOf,
  strategies,
} from '@specoffload/engine';
import type { Output } from '../../terminal/output.js';

export interface StrategyChoice {
  /** Left out: whatever the planner finds. */
  readonly strategy?: StrategyName;
  readonly policy: PolicyInput;
  readonly isPlanned: boolean;
  /** As `--acceptance` takes it. */
  readonly acceptance?: string | undefined;
}

/**
 * A run that does not speculate opens no draft. A baseline is planned as published; with a draft as well where it is
 * said how often one would be right.
 */
export function wantsDraft({ strategy, policy, isPlanned, acceptance }: StrategyChoice): boolean {
  if (strategy !== undefined && speculates(strategy, policy)) return true;
  if (!isPlanned) return false;
  const named = strategy === undefined ? {} : { strategies: [strategy] };
  if (!planMaySpeculate({ ...named, fixed: policy })) return false;
  return strategy === undefined || acceptance !== undefined;
}

/**
 * Says which of the flags about a draft were given and do nothing.
 * @param isGiven whether a flag was typed, by the option's name.
 */
export function noteUnusedDraft(
  { strategy, policy, isPlanned }: StrategyChoice,
  isGiven: (name: 'draft' | 'acceptance') => boolean,
  output: Output,
): void {
  const flags = (['draft', 'acceptance'] as const).filter(isGiven).map((name) => `--${name}`);
  if (flags.length === 0) return;
  const who = strategy === undefined ? `speculation ${policy.speculation}` : strategy;
  const verb = flags.length === 1 ? 'is' : 'are';
  output.note(
    `${who} does not speculate: ${flags.join(' and ')} ${verb} not used; ${remedy(strategy, policy, isPlanned)}`,
  );
}

function remedy(strategy: StrategyName | undefined, policy: PolicyInput, isPlanned: boolean): string {
  const canBeGiven = strategy !== undefined && speculationsOf(strategies[strategy]).includes('serial');
  if (!canBeGiven || policy.speculation !== undefined) return 'take --strategy serial for a run with a draft';
  return isPlanned
    ? 'add --acceptance to plan it with a draft too'
    : 'add --speculation serial to give it a draft';
}
