/** The way of weights that do not stay: hop by hop from storage to the device, through host memory or past it. */

import type { Hop, Routes } from '../topology/topology.js';
import type { GroupLayout } from './group-layout.js';
import type { MemoryPlan, StreamedKind } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { wantsShares } from './shared-experts.js';

/** A lane's part of a weight's way; past the host, what the host computes with need not go on. */
export interface WeightHop extends Hop {
  readonly isPastHost: boolean;
}

/** By what is brought; `kept` is whatever stays in host memory as stored. */
export type WeightWays = Readonly<Record<StreamedKind | 'kept', readonly WeightHop[]>>;

export function waysOfWeights({ routes, target }: MemoryPlan, policy: OpenPolicy): WeightWays {
  return {
    attention: wayOfStreamed(routes, policy, 'attention'),
    expert: wayOfStreamed(routes, policy, 'expert'),
    kept: target.kept.size > 0 ? markPastHost(routes.way('host', 'device')) : [],
  };
}

/** The fewest hops, but what the host computes with stops in its memory. */
export function wayOfStreamed(
  routes: Routes,
  policy: Pick<OpenPolicy, 'hostExpertRows' | 'hostShare' | 'balance'>,
  kind: StreamedKind,
): readonly WeightHop[] {
  const isUsedByHost =
    policy.balance !== 'given' || (kind === 'expert' && (policy.hostExpertRows > 0 || wantsShares(policy)));
  return markPastHost(
    isUsedByHost
      ? [...routes.way('disk', 'host'), ...routes.way('host', 'device')]
      : routes.way('disk', 'device'),
  );
}

function markPastHost(way: readonly Hop[]): WeightHop[] {
  const start = way.findIndex(({ from }) => from === 'host');
  return way.map((hop, index) => ({ ...hop, isPastHost: start !== -1 && index >= start }));
}

/** What a group takes of a lane; `share` is what of it the device needs. Reads take what direct reads can. */
export function hopBytes(
  { from, isPastHost }: WeightHop,
  { group, stagedBytes }: GroupLayout,
  share: number,
): number {
  if (from === 'disk') return stagedBytes;
  return isPastHost ? group.storedBytes * share : group.storedBytes;
}
