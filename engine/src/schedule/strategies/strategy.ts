/** What a strategy is: a name, a source, its orders of proposing and verifying, and where its policy differs. */

import type { Sequence } from '../../speculate/sequence.js';
import type { Policy, PolicyInput } from '../policy.js';

/** The moves a strategy makes; each resolves when its tasks have ended. Finished sequences are left out of all. */
export interface Rounds {
  /** The batches in flight. */
  readonly batches: readonly (readonly Sequence[])[];
  /** The draft proposes candidates for a batch. */
  propose(batch: number): Promise<void>;
  /** The draft proposes what may follow the candidates that are being verified. */
  proposeAhead(batch: number): Promise<void>;
  /** Moves the rest of all batches into the first, where the policy wants it and they fit; says whether it did. */
  join(): boolean;
  /** The target verifies a batch's candidates and adds a token of its own; without candidates, plain decoding. */
  verify(batch: number): Promise<void>;
}

/** Decodes all batches until every sequence is finished. */
export type Order = (rounds: Rounds) => Promise<void>;

export interface Strategy {
  readonly name: string;
  /** What it does on which lane, one sentence. */
  readonly summary: string;
  /**
   * Its order for each way of speculating it can be asked for, its own way first. Predictions follow the order; what
   * the planner estimates before it predicts goes by the way.
   */
  readonly orders: { readonly [Way in Policy['speculation']]?: Order };
  /** Batches in flight, at most. @default 2 */
  readonly mostBatches?: number;
  /** What a planner may change: everything; or, of a published system, its batches, its draft and these fields. */
  readonly planned: 'everything' | readonly (keyof Policy)[];
  /** Policy fields where it differs from the common defaults. */
  readonly defaults: Omit<PolicyInput, 'speculation'> & Pick<Policy, 'batches'>;
}

/** The ways of speculating that a strategy can be asked for, its own first. */
export function speculationsOf({ orders }: Strategy): Policy['speculation'][] {
  return Object.keys(orders) as Policy['speculation'][];
}

/** Whether a policy needs a draft. */
export function usesDraft({ speculation }: Pick<Policy, 'speculation'>): boolean {
  return speculation !== 'none';
}
