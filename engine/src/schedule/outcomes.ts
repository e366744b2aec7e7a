/** How many outcomes of a verification, or alternates, a draft prepares for, and what that takes. */

import { cacheCapacity } from './kv-cache.js';
import type { OpenPolicy } from './policy.js';

/** Of a place, the draft's choices beyond its own that are ever prepared for: those behind them are hardly ever right. */
const mostRanks = 8;

type AboutOutcomes = Pick<OpenPolicy, 'speculation' | 'draftCache' | 'outcomes'>;

/** Outcomes per sequence and verification; a branch goes on from a cache that is kept. */
export function mostOutcomes({ speculation, draftCache, outcomes }: AboutOutcomes): number {
  return speculation === 'ahead' && draftCache === 'resident' ? outcomes : 1;
}

/** Whether branches are drafted, each in room of its own. */
export function branches(policy: AboutOutcomes): boolean {
  return mostOutcomes(policy) > 1;
}

/** How many of the draft's choices at a place have to be known, its own among them; 0 where none. */
export function leadersWanted(policy: AboutOutcomes & Pick<OpenPolicy, 'alternates'>): number {
  const most = mostOutcomes(policy);
  if (most > 1) return Math.min(most, mostRanks) + 1;
  return policy.alternates > 0 ? 2 : 0;
}

/** Tokens that a branch has room for: the target's own, and all that follow but the last, which is never fed. */
export function tokensOfBranch({ candidates }: Pick<OpenPolicy, 'candidates'>): number {
  return cacheCapacity(candidates);
}

/** Whether the draft goes on behind alternates, each in a branch. */
export function extendsAlternates({ alternates, alternateTokens }: OpenPolicy): boolean {
  return alternates > 0 && alternateTokens > 1;
}

/** Tokens of all the branches that are drafted together. */
export function branchTokens(policy: OpenPolicy): number {
  const { draftBatch, alternates, alternateTokens } = policy;
  if (extendsAlternates(policy)) return draftBatch * alternates * cacheCapacity(alternateTokens);
  return branches(policy) ? draftBatch * tokensOfBranch(policy) : 0;
}
