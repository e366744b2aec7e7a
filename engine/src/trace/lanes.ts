/** What spans say of the lanes they were on. */

import { type LaneName, localTopology } from '../topology/topology.js';
import type { Span } from './types.js';

/** Lanes of the local machine, in the order in which reports and figures show them. */
export const laneNames: readonly LaneName[] = localTopology.lanes.map(({ name }) => name);

/** The lanes to show for some spans, see {@link inUsualOrder}. */
export function lanesOf(spans: readonly Pick<Span, 'lane'>[]): readonly LaneName[] {
  return inUsualOrder(new Set(spans.map(({ lane }) => lane)));
}

/** The local machine's lanes where there are no others; else those that are named, its own first. */
export function inUsualOrder(names: Iterable<LaneName>): readonly LaneName[] {
  const named = new Set(names);
  const others = [...named].filter((lane) => !laneNames.includes(lane));
  return others.length === 0 ? laneNames : [...laneNames.filter((lane) => named.has(lane)), ...others];
}

const deviceKinds: ReadonlySet<string> = new Set(['embed', 'project', 'mix', 'merge', 'head']);

/** Work of the target on the device: what marks where a pass begins and ends. */
export function isTargetOnDevice({ lane, kind }: Pick<Span, 'lane' | 'kind'>): boolean {
  return deviceKinds.has(kind) || (lane === 'device' && kind !== 'draft');
}
