/** What a strategy is: defaults for the policy, and the order of proposing and verifying. */

import type { Sequence } from '../../speculate/sequence.js';
import type { Policy, PolicyInput, StrategyName } from '../policy.js';

/** The moves a strategy makes; each resolves when its tasks have ended. Finished sequences are left out of both. */
export interface Rounds {
  /** The batches in flight, 1 or 2. */
  readonly batches: readonly (readonly Sequence[])[];
  /** The draft proposes candidates for a batch. */
  propose(batch: number): Promise<void>;
  /** The target verifies a batch's candidates and adds a token of its own; without candidates, plain decoding. */
  verify(batch: number): Promise<void>;
}

export interface Strategy {
  readonly name: StrategyName;
  /** What it does on which lane, one sentence. */
  readonly summary: string;
  readonly usesDraft: boolean;
  /** Policy fields where it differs from the common defaults. */
  readonly defaults: PolicyInput & Pick<Policy, 'speculation' | 'batches'>;
  decode(rounds: Rounds): Promise<void>;
}

export function hasUnfinished(sequences: readonly Sequence[]): boolean {
  return sequences.some(({ isFinished }) => !isFinished);
}
