/** Which points may be called best: distinguishably better than every other one that they compete with. */

import type { RunRecord } from '../store/index.js';
import { pairedRatio } from './paired-ratio.js';
import { type Aimed, axesKey, type GatheredPoint, gatherPoints, pairsOf } from './points.js';

/**
 * Points compete that share everything but the baseline's axes, such as systems on the same data; without a baseline
 * all do. Of fewer than three runs of each nobody can tell.
 * @returns whether a point, by its key and kind, is better than all others it competes with
 */
export function winnersOf(
  records: readonly RunRecord[],
  aim: Aimed,
): (point: { readonly pointKey: string; readonly kind: RunRecord['kind'] }) => boolean {
  const points = gatherPoints(records, aim);
  const { baseline, lowerIsBetter = false } = aim;
  const groups = new Map<string, GatheredPoint[]>();
  for (const point of points) {
    const everything = baseline ?? point.point.axes;
    const key = axesKey(point, everything as Readonly<Record<string, string | number>>);
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  const winners = new Set<string>();
  for (const group of groups.values()) {
    const winner = group.find((point) =>
      group.every(
        (other) =>
          other === point || pairedRatio(pairsOf(point, other), { lowerIsBetter }).verdict === 'faster',
      ),
    );
    if (winner && group.length > 1) winners.add(idOf({ ...winner.point, kind: winner.kind }));
  }
  return (point) => winners.has(idOf(point));
}

const idOf = ({ pointKey, kind }: { readonly pointKey: string; readonly kind: string }) =>
  `${kind}/${pointKey}`;
