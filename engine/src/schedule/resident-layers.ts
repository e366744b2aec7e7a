/** Which layers stay in a memory, what they take of it, and their places. */

import { UserError } from '@specoffload/input';
import { isImagined } from '../machine/formats.js';
import { type PoolLayout, placedBytes, type Region } from '../machine/pool.js';
import type { Checkpoint, WeightGroup } from '../model/types.js';
import { type GroupLayout, groupLayout } from './group-layout.js';
import type { PlanRequest } from './memory-plan.js';

/** With a drafter that computes with them, the first and the last among them: without those it is never right. */
export function pickPinned(
  { layers, pinsEnds }: Pick<PlanRequest, 'layers' | 'pinsEnds'>,
  count: number,
): ReadonlySet<number> {
  return pinsEnds ? spreadToEnds(count, layers) : spreadEvenly(count, layers);
}

/** Those in page-locked memory first. */
export function pickKept(
  { layers, lockedLayers }: Pick<PlanRequest, 'layers' | 'lockedLayers'>,
  pinned: ReadonlySet<number>,
  count: number,
): ReadonlySet<number> {
  const others = layers.filter((layer) => !pinned.has(layer));
  const locked = others.filter((layer) => layer < lockedLayers);
  if (count <= locked.length) return spreadEvenly(count, locked);
  const pageable = others.filter((layer) => layer >= lockedLayers);
  return new Set([...locked, ...spreadEvenly(count - locked.length, pageable)]);
}

/**
 * `count` of the layers at even distances. Resident layers in one block would leave the disk lane idle while they
 * are computed, since it only reads prefetchDepth groups ahead.
 */
export function spreadEvenly(count: number, layers: readonly number[]): ReadonlySet<number> {
  if (count > layers.length)
    throw new UserError(`invalid number of resident layers: ${count}; expected at most ${layers.length}`);
  return new Set(
    Array.from({ length: count }, (_, i) => layers[Math.floor(((i + 0.5) * layers.length) / count)]),
  );
}

/** `count` of the layers, at most all, at even distances from the first to the last; one is the first. */
export function spreadToEnds(count: number, layers: readonly number[]): ReadonlySet<number> {
  const step = (layers.length - 1) / Math.max(1, count - 1);
  return new Set(Array.from({ length: count }, (_, i) => layers[Math.round(i * step)]));
}

/** What pinned layers add to a plan without any: resident attention weights are there anyway. */
export function pinnedBytes(request: PlanRequest, layers: ReadonlySet<number>): number {
  const { layouts, policy, granularityBytes } = request;
  const isAttentionThere = policy.attentionWeights === 'resident';
  return sumGroups(request, layers, granularityBytes.device, (group) =>
    isAttentionThere && group.kind === 'attention' ? 0 : groupLayout(layouts, group).deviceBytes,
  );
}

/** What kept layers add to a plan without any: attention weights that the host computes with are there anyway. */
export function keptBytes(request: PlanRequest, layers: ReadonlySet<number>): number {
  const { layouts, granularityBytes } = request;
  const isAttentionThere = projectsOnHost(request);
  return sumGroups(request, layers, granularityBytes.host, (group) =>
    isAttentionThere && group.kind === 'attention' ? 0 : groupLayout(layouts, group).stagedBytes,
  );
}

/** Whether the host has to have attention weights to compute with; memory that is only imagined has no room for them. */
export function projectsOnHost({ policy, formats }: Pick<PlanRequest, 'policy' | 'formats'>): boolean {
  return policy.projections === 'host' && policy.attention !== 'device' && !isImagined(formats);
}

/** Of what crossbars do not hold. */
function sumGroups(
  { target: { layers: all }, held }: PlanRequest,
  layers: ReadonlySet<number>,
  granularityBytes: number | undefined,
  bytesOf: (group: WeightGroup) => number,
): number {
  let bytes = 0;
  const add = (group: WeightGroup) => {
    if (!held?.ids.has(group.id)) bytes += placedBytes(bytesOf(group), granularityBytes);
  };
  for (const layer of layers) {
    add(all[layer].attention);
    for (const expert of all[layer].experts) add(expert);
  }
  return bytes;
}

/** @param held what is somewhere else */
export function placeLayers(
  checkpoint: Checkpoint,
  layers: ReadonlySet<number>,
  place: (group: WeightGroup) => Region,
  held: PlanRequest['held'] = null,
): Map<string, Region> {
  const regions = new Map<string, Region>();
  for (const layer of layers) {
    const { attention, experts } = checkpoint.layers[layer];
    for (const group of [attention, ...experts])
      if (!held?.ids.has(group.id)) regions.set(group.id, place(group));
  }
  return regions;
}

export function placeResidentAttention(
  { target, layouts, policy, held }: PlanRequest,
  pinnedSet: ReadonlySet<number>,
  device: PoolLayout,
): [string, Region][] {
  if (policy.attentionWeights === 'streamed') return [];
  return target.layers
    .filter(({ attention }, layer) => !pinnedSet.has(layer) && !held?.ids.has(attention.id))
    .map(({ attention }) => [
      attention.id,
      device.place('attention weights', groupLayout(layouts, attention).deviceBytes),
    ]);
}

/** As stored, of layers that are not kept. */
export function placeHostAttention(
  request: PlanRequest,
  keptSet: ReadonlySet<number>,
  host: PoolLayout,
): [string, Region][] {
  const { target, layouts } = request;
  if (!projectsOnHost(request)) return [];
  return target.layers
    .filter((_, layer) => !keptSet.has(layer))
    .map(({ attention }) => [
      attention.id,
      host.place('attention weights', groupLayout(layouts, attention).stagedBytes),
    ]);
}

/** What every model has in memory, however much of its layers stays. */
export function placeModel(
  checkpoint: Checkpoint,
  layouts: ReadonlyMap<string, GroupLayout>,
  host: PoolLayout,
  name: string,
  placeWeights: (label: string, group: WeightGroup) => Region,
) {
  return {
    checkpoint,
    layouts,
    embedding: host.place(`${name} embedding`, groupLayout(layouts, checkpoint.embedding).stagedBytes),
    head: placeWeights(`${name} head`, checkpoint.head),
  };
}
