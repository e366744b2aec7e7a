/** What a strategy is: a name, a source, and where its policy differs from the common defaults. */

import type { Sequence } from '../../speculate/sequence.js';
import type { Policy, PolicyInput, StrategyName } from '../policy.js';

/** The moves a strategy makes; each resolves when its tasks have ended. Finished sequences are left out of both. */
export interface Rounds {
  /** The batches in flight, 1 or 2. */
  readonly batches: readonly (readonly Sequence[])[];
  /** The draft proposes candidates for a batch. */
  propose(batch: number): Promise<void>;
  /** The draft proposes what may follow the candidates that are being verified. */
  proposeAhead(batch: number): Promise<void>;
  /** The target verifies a batch's candidates and adds a token of its own; without candidates, plain decoding. */
  verify(batch: number): Promise<void>;
}

export interface Strategy {
  readonly name: StrategyName;
  /** What it does on which lane, one sentence. */
  readonly summary: string;
  /** The ways of speculating it can be asked for; a competitor as published does not speculate. */
  readonly speculations: readonly Policy['speculation'][];
  /** Policy fields where it differs from the common defaults; `speculation` is the first of its ways. */
  readonly defaults: PolicyInput & Pick<Policy, 'speculation' | 'batches'>;
}

/** Whether a policy needs a draft. */
export function usesDraft({ speculation }: Pick<Policy, 'speculation'>): boolean {
  return speculation !== 'none';
}

export function hasUnfinished(sequences: readonly Sequence[]): boolean {
  return sequences.some(({ isFinished }) => !isFinished);
}
