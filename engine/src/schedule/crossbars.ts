/** Which weights live in crossbars, where they are multiplied: written once, they never move. */

import { UserError } from '@specoffload/input';
import type { MemoryLimits } from '../machine/budgets.js';
import { crossbarMemory } from '../machine/crossbars.js';
import { formatMegabytes, type PoolLayout, placedBytes } from '../machine/pool.js';
import type { Checkpoint, GroupKind, WeightGroup } from '../model/types.js';
import type { Drafter } from './drafter.js';
import type { Pools } from './memory-plan.js';
import type { OpenPolicy, Policy } from './policy.js';
import { spreadEvenly } from './resident-layers.js';

/** What of a run's weights crossbars hold. */
export interface InCrossbars {
  readonly bytesPerWeight: number;
  /** Of the target's layers, and its head. */
  readonly groups: readonly WeightGroup[];
  readonly ids: ReadonlySet<string>;
  readonly numLayers: number;
  readonly hasDraft: boolean;
}

/** Of a layer of the target. */
const kindsOf: Readonly<Record<Policy['crossbars'], readonly GroupKind[]>> = {
  none: [],
  attention: ['attention'],
  experts: ['expert'],
  layers: ['attention', 'expert'],
  head: [],
  draft: [],
};

/**
 * The groups that the policy names: of as many layers as it says, at even distances, or of as many as fit.
 * @returns null where nothing shall be in crossbars
 * @throws UserError when there are none, or they are too small
 */
export function pickForCrossbars(
  target: Checkpoint,
  drafter: Drafter | null,
  policy: OpenPolicy,
  limits: MemoryLimits,
): InCrossbars | null {
  const { crossbars } = policy;
  if (crossbars === 'none') return null;
  const { bytesPerCrossbarWeight: bytesPerWeight, otherBytes, granularityBytes } = limits;
  const refuse = (why: string): never => {
    throw new UserError(`invalid crossbars: ${crossbars}; ${why}`);
  };
  if (bytesPerWeight === undefined)
    return refuse(
      'this machine has none; expected none, or a prediction on a machine whose file has "crossbars"',
    );
  if ((drafter?.leastPinned?.(policy) ?? 0) > 0)
    return refuse('the drafter computes with layers that stay on the device; expected another drafter');
  const capacityBytes = otherBytes?.[crossbarMemory] ?? 0;
  const bytesOf = (groups: readonly WeightGroup[]) =>
    groups.reduce(
      (sum, group) =>
        sum + placedBytes(crossbarBytes(group, bytesPerWeight), granularityBytes?.[crossbarMemory]),
      0,
    );
  const assertFits = (groups: readonly WeightGroup[], what: string) => {
    const bytes = bytesOf(groups);
    if (bytes > capacityBytes)
      refuse(
        `${what} ${formatMegabytes(bytes)} of the ${formatMegabytes(capacityBytes)} that the crossbars hold; expected fewer, or crossbars that hold them`,
      );
  };
  const ofLayers = (count: number) => groupsOfLayers(target, crossbars, count);
  const pick = (groups: readonly WeightGroup[], numLayers: number, hasDraft = false): InCrossbars => ({
    ...{ bytesPerWeight, groups, numLayers, hasDraft },
    ids: new Set(groups.map(({ id }) => id)),
  });
  if (crossbars === 'head') {
    assertFits([target.head], 'the head takes');
    return pick([target.head], 0);
  }
  if (crossbars === 'draft') {
    if (!drafter?.checkpoint) return refuse('no draft model proposes; expected another group of weights');
    assertFits(groupsOfDraft(drafter.checkpoint), 'the draft takes');
    return pick([], 0, true);
  }
  const { length } = target.layers;
  let count = Math.min(policy.crossbarLayers, length);
  if (count === 0) for (count = length; count > 1 && bytesOf(ofLayers(count)) > capacityBytes; ) count -= 1;
  assertFits(ofLayers(count), `those of ${count} ${count === 1 ? 'layer' : 'layers'} take`);
  return pick(ofLayers(count), count);
}

function groupsOfLayers({ layers }: Checkpoint, which: Policy['crossbars'], count: number): WeightGroup[] {
  const kinds = kindsOf[which];
  return [...spreadEvenly(count, [...layers.keys()])].flatMap((layer) => {
    const { attention, experts } = layers[layer];
    return [attention, ...experts].filter(({ kind }) => kinds.includes(kind));
  });
}

/** All but its embedding, of which rows are looked up. */
function groupsOfDraft({ head, layers }: Checkpoint): WeightGroup[] {
  return [head, ...layers.flatMap(({ attention, experts }) => [attention, ...experts])];
}

/** What a group takes of crossbars. */
function crossbarBytes({ tensors }: WeightGroup, bytesPerWeight: number): number {
  return Math.ceil(tensors.reduce((sum, { ref }) => sum + ref.numElements, 0) * bytesPerWeight);
}

/** Layers that have anything left to place elsewhere. */
export function layersBeside({ layers }: Checkpoint, held: InCrossbars | null): readonly number[] {
  const all = [...layers.keys()];
  if (!held) return all;
  return all.filter((layer) =>
    [layers[layer].attention, ...layers[layer].experts].some(({ id }) => !held.ids.has(id)),
  );
}

/** Puts a group into its crossbars, or else where it would be without. */
export function placeGroup(
  held: InCrossbars | null,
  pools: Pools,
  group: WeightGroup,
  label: string,
  otherwise: { readonly pool: PoolLayout; readonly bytes: number },
) {
  if (!held?.ids.has(group.id)) return otherwise.pool.place(label, otherwise.bytes);
  return placeInCrossbars(held, pools, group, label);
}

export function placeInCrossbars(
  { bytesPerWeight }: InCrossbars,
  pools: Pools,
  group: WeightGroup,
  label: string,
) {
  return pools[crossbarMemory].place(label, crossbarBytes(group, bytesPerWeight));
}
