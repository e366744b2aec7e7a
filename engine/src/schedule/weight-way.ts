/** The way of weights that do not stay: hop by hop from storage to the device, with a stop in host memory or without. */

import { UserError } from '@specoffload/input';
import type { WeightGroup } from '../model/types.js';
import type { Hop, Routes } from '../topology/topology.js';
import type { GroupLayout } from './group-layout.js';
import type { MemoryPlan } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';

/** What streams. */
export type StreamedKind = Extract<WeightGroup['kind'], 'attention' | 'expert'>;

/** By what is brought; `kept` is whatever stays in host memory as stored. */
export type WeightWays = Readonly<Record<StreamedKind | 'kept', readonly Hop[]>>;

export function waysOfWeights({ routes, target }: MemoryPlan, policy: OpenPolicy): WeightWays {
  return {
    attention: wayOfStreamed(routes, policy, 'attention'),
    expert: wayOfStreamed(routes, policy, 'expert'),
    kept: target.kept.size > 0 ? routes.way('host', 'device') : [],
  };
}

/** What a group takes of a lane; `share` is what of it the device needs. Reads take what direct reads can. */
export function hopBytes({ from }: Hop, { group, stagedBytes }: GroupLayout, share: number): number {
  return from === 'disk' ? stagedBytes : group.storedBytes * share;
}

/** One or two hops: experts that the host computes with stop in its memory, others where no lane leads past it. */
export function wayOfStreamed(
  routes: Routes,
  { hostExpertRows, hostShare }: Pick<OpenPolicy, 'hostExpertRows' | 'hostShare'>,
  kind: StreamedKind,
): readonly Hop[] {
  const isUsedByHost = kind === 'expert' && (hostExpertRows > 0 || hostShare > 0);
  const way = isUsedByHost
    ? [...routes.way('disk', 'host'), ...routes.way('host', 'device')]
    : routes.way('disk', 'device');
  const stop = way.slice(0, -1).find(({ to }) => to !== 'host');
  if (way.length > 2 || stop)
    throw new UserError(
      `weights would pass ${way.map(({ to }) => to).join(', ')} on their way from disk; expected a stop in host memory at most; add a lane with "moves": {"from": "disk", "to": "host"}`,
    );
  return way;
}
