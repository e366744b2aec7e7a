/**
 * Which groups stay where memory is filled tensor by tensor: attention, FFNs and single experts of any layer, those first
 * that save most of what would move for the bytes that they take.
 */

import { placedBytes, type Region } from '../machine/pool.js';
import type { WeightGroup } from '../model/types.js';
import { keepsExperts } from './expert-cache.js';
import { groupLayout } from './group-layout.js';
import type { MemoryPlan, PlanRequest } from './memory-plan.js';

/** By id, beside those of layers that stay whole. */
export interface ResidentTensors {
  readonly pinned: readonly WeightGroup[];
  readonly kept: readonly WeightGroup[];
}

export const noTensors: ResidentTensors = { pinned: [], kept: [] };

/** What a group saves in a pass when it stays, for each byte that it takes there. */
type Worth = (group: WeightGroup) => number;

/** As many as fit beside a plan without any: the device's memory first, which saves the link as well. */
export function pickTensors(
  request: PlanRequest,
  { target: { pinned: pinnedAlready, kept: keptAlready } }: MemoryPlan,
  leftBytes: { readonly device: number; readonly host: number },
): ResidentTensors {
  const { layouts, granularityBytes, lockedLayers, target } = request;
  // Of experts a cache keeps those that are chosen.
  const stay = (experts: readonly WeightGroup[]) =>
    keepsExperts(request.policy) && experts.length > 1 ? [] : experts;
  const groups = target.layers.flatMap(({ attention, experts }) => [attention, ...stay(experts)]);
  const chance = chanceOfUse(request);
  const deviceBytes = (group: WeightGroup) =>
    placedBytes(groupLayout(layouts, group).deviceBytes, granularityBytes.device);
  const hostBytes = (group: WeightGroup) =>
    placedBytes(groupLayout(layouts, group).stagedBytes, granularityBytes.host);
  const worthWhere =
    (bytesOf: (group: WeightGroup) => number): Worth =>
    (group) =>
      (chance(group) * group.storedBytes) / bytesOf(group);
  const pinned = takeFitting(
    inOrder(
      groups.filter(({ id }) => !pinnedAlready.has(id)),
      worthWhere(deviceBytes),
    ),
    deviceBytes,
    leftBytes.device,
  );
  const onDevice = new Set(pinned);
  const others = inOrder(
    groups.filter(
      (group) => !onDevice.has(group) && !pinnedAlready.has(group.id) && !keptAlready.has(group.id),
    ),
    worthWhere(hostBytes),
  );
  const all = takeFitting(others, hostBytes, leftBytes.host);
  // What lies in the page cache stays as a whole or not at all.
  const isLocked = ({ layer }: WeightGroup) => layer < lockedLayers;
  const kept =
    all.length === others.length ? all : takeFitting(others.filter(isLocked), hostBytes, leftBytes.host);
  return { pinned, kept };
}

/** Whether a pass uses a group at all: of routed experts only those that some row chose. */
function chanceOfUse({ policy, target }: PlanRequest): (group: WeightGroup) => number {
  const rows = policy.decodeBatch * (1 + (policy.speculation === 'none' ? 0 : policy.candidates));
  return ({ kind, layer }) => {
    const { numExperts, expertsPerToken } = target.spec.layers[layer].ffn;
    const isChosen =
      kind === 'expert' && policy.experts === 'routed' && target.layers[layer].experts.length > 1;
    return isChosen ? 1 - (1 - expertsPerToken / numExperts) ** rows : 1;
  };
}

/** The most worth first; of equal worth each layer's first group before any's second, layers at even distances. */
function inOrder(groups: readonly WeightGroup[], worth: Worth): WeightGroup[] {
  return groups
    .map((group) => ({ group, worth: worth(group), turn: turnOf(group), place: evenly(group.layer) }))
    .sort((a, b) => {
      const difference = b.worth - a.worth;
      if (Math.abs(difference) > 1e-9 * a.worth) return difference;
      return a.turn - b.turn || a.place - b.place;
    })
    .map(({ group }) => group);
}

function turnOf({ kind, expert }: WeightGroup): number {
  return kind === 'attention' ? -1 : expert;
}

/** Sorted by it, any number of the first layers lie at even distances: multiples of the golden ratio are spread so. */
function evenly(layer: number): number {
  return (layer * 0.6180339887498949) % 1;
}

function takeFitting(
  groups: readonly WeightGroup[],
  bytesOf: (group: WeightGroup) => number,
  leftBytes: number,
): WeightGroup[] {
  let left = leftBytes;
  return groups.filter((group) => {
    const bytes = bytesOf(group);
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
}

/** The id of each, and its place. */
export function placeTensors(
  groups: readonly WeightGroup[],
  place: (group: WeightGroup) => Region,
): [string, Region][] {
  return groups.map((group) => [group.id, place(group)]);
}
