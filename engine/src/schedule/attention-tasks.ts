/**
 * A layer's attention in a target pass: three tasks where the host scores and the device projects (project ->
 * attention -> mix), else one on its lane.
 */

import type { Region } from '../machine/pool.js';
import { keyWidth } from '../model/spec.js';
import type { WeightGroup } from '../model/types.js';
import { loadOf, routes, scoresAndProjects } from './attention-parts.js';
import { cacheFields, cacheStretches, packBlocks } from './feeds.js';
import { attendOnHost } from './host-attention-tasks.js';
import { mixes, movesRows, projectionShare, projects, readsOverLink, scores } from './layer-costs.js';
import type { Slots } from './memory-plan.js';
import type { CacheOp, DeviceAttentionOp } from './ops.js';
import type { Flow, PassContext } from './pass-context.js';
import { attendShared } from './shared-attention-tasks.js';
import type { OpenTask, Task } from './task.js';
import { attentionWeights } from './work.js';

/** Sends every frame through the layer's attention. */
export function attend(context: PassContext, layer: number, group: WeightGroup): void {
  const { policy, phase } = context.request;
  const isHeld = context.placeOf(group) !== 'device';
  const projectsOnHost = policy.projections === 'host' && phase === 'decode' && !isHeld;
  const needsDevice = context.flows.some(
    ({ attentionLane }) => attentionLane === 'device' || !projectsOnHost,
  );
  const arrival = needsDevice ? context.arrive(group) : null;
  for (const flow of context.flows) {
    const frees = needsDevice ? context.freedBy(flow, group) : undefined;
    const { attentionLane } = flow;
    const share = context.request.stream.hostShareOf(phase, group);
    if (share > 0) attendShared(context, flow, layer, arrival, share, frees);
    else if (attentionLane === 'device' && !isHeld)
      attendOnDevice(context, flow, layer, group, arrival, frees);
    else if (projectsOnHost) attendOnHost(context, flow, layer, group, arrival, frees);
    else attendAcrossLanes(context, flow, layer, group, arrival, frees);
  }
}

/** The host or the device scores; projections are where the weights are, on the device or in crossbars. */
function attendAcrossLanes(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  arrival: number | null,
  frees: Task['frees'],
): void {
  const costs = context.costs.layers[layer];
  const load = flow.loads[costs.kind];
  const { frame, index, rows } = flow;
  const place = context.placeOf(group);
  const arrived = context.afterArrival(flow, arrival);
  const project = context.push(flow, 'project', place, `project layer.${layer}`, arrived, () => ({
    kind: 'project',
    frame,
    layer,
    rows,
    weights: weightsOf(context, group),
  }));
  projects(project, costs, rows);
  readsInHost(context, project, group, projectionShare(costs));
  const projected = [project.id];
  const crossing = place === 'device' ? null : crossingOf(context, flow, layer);
  if (crossing?.fetch) projected.push(crossing.fetch);
  const { attentionLane } = flow;
  const score = context.push(flow, 'attention', attentionLane, `attention layer.${layer}`, projected, () => ({
    kind: 'attention',
    frame,
    layer,
    rows,
    cacheBytes: load.cacheBytes,
    ...cacheFields(costs.attention, flow.feeds),
  }));
  scores(score, load);
  // After the previous frame's too, so that the last frame's is the weights' last user.
  const scored = index > 0 ? [score.id, context.flows[index - 1].last] : [score.id];
  const mix = context.push(flow, 'mix', place, `mix layer.${layer}`, scored, () => ({
    kind: 'mix',
    frame,
    layer,
    rows,
    weights: weightsOf(context, group),
    wantsRouting: context.wantsRouting,
    foresees: context.foreseen(flow, layer),
  }));
  mixes(mix, costs, rows);
  readsInHost(context, mix, group, 1 - projectionShare(costs));
  mix.frees = frees;
  routes(context, mix, flow, layer);
  flow.last = mix.id;
  if (place === 'device') return;
  for (const task of [project, mix]) movesRows(task, context.costs.hiddenBytes);
  crossing?.store(score);
}

/** Of a cache in host memory that the device attends to: its way there, and back. */
function crossingOf(context: PassContext, flow: Flow, layer: number) {
  const slots = context.request.plan.cacheSlots;
  if (slots === null || !flow.crosses) return null;
  const fetch = flow.hasCached ? fetchCache(context, flow, layer, slots) : null;
  return {
    fetch,
    store: (score: OpenTask) => {
      if (fetch === null) score.takes = slots.slotClass;
      storeCache(context, flow, layer, slots, fetch ?? score.id);
    },
  };
}

/** All of a layer's attention on the device; a cache in host memory crosses the link, both ways. */
function attendOnDevice(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  arrival: number | null,
  frees: Task['frees'],
): void {
  const slots = context.request.plan.cacheSlots;
  const crosses = slots !== null && flow.crosses;
  const after = context.afterPrevious(flow, arrival);
  const fetch = crosses && flow.hasCached ? fetchCache(context, flow, layer, slots) : null;
  if (fetch !== null) after.push(fetch);
  const task = context.push(flow, 'attention', 'device', `attention layer.${layer}`, after, (slot) => {
    const held = fetch === null ? slot : context.request.stream.slotOf(fetch);
    return deviceAttentionOp(context, flow, layer, group, crosses ? slots.regions[held] : null);
  });
  scoresAndProjects(context, task, flow, layer);
  readsInHost(context, task, group, 1);
  if (crosses && fetch === null) task.takes = slots.slotClass;
  task.frees = frees;
  routes(context, task, flow, layer);
  flow.last = task.id;
  if (crosses) storeCache(context, flow, layer, slots, fetch ?? task.id);
}

/** @param buffer where the frame's part of the cache is, packed; null where it is in the cache itself */
function deviceAttentionOp(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  buffer: Region | null,
): DeviceAttentionOp {
  const { frame, rows, feeds } = flow;
  const { costs, placement } = context;
  const { attention } = costs.layers[layer];
  const packed = buffer && packBlocks(feeds);
  const { kvCache, splitCache } = placement;
  const cache = (feeds[0].sequence.targetBlock.isOnDevice && splitCache) || kvCache;
  const region = buffer ?? cache[layer];
  return {
    kind: 'device-attention',
    frame,
    layer,
    rows,
    weights: weightsOf(context, group),
    cache: region.byteOffset,
    cacheElements: packed
      ? 2 * packed.numTokens * keyWidth(attention)
      : region.byteLength / placement.formats.cacheElementBytes,
    ...cacheFields(attention, feeds, packed?.blocks),
    wantsRouting: context.wantsRouting,
    foresees: context.foreseen(flow, layer),
  };
}

function fetchCache(context: PassContext, flow: Flow, layer: number, slots: Slots): number {
  const fetch = context.pushCrossing(flow, 'fetch', `fetch layer.${layer}`, [], (slot) =>
    cacheOp('fetch', context, flow, layer, slots.regions[slot]),
  );
  crosses(context, fetch, layer, loadOf(context, flow, layer).fetchBytes);
  fetch.takes = slots.slotClass;
  return fetch.id;
}

/** @param holder the task that took the buffer */
function storeCache(context: PassContext, flow: Flow, layer: number, slots: Slots, holder: number): void {
  const store = context.pushCrossing(flow, 'store', `store layer.${layer}`, [flow.last], () =>
    cacheOp('store', context, flow, layer, slots.regions[context.request.stream.slotOf(holder)]),
  );
  crosses(context, store, layer, loadOf(context, flow, layer).storeBytes);
  store.frees = [holder];
  flow.stores.push(store.id);
}

/** Fills in a transfer: it goes behind the layer's own weights and before the next one's. */
function crosses({ request, spec }: PassContext, task: OpenTask, layer: number, bytes: number): void {
  task.rows = 0;
  task.productRows = 0;
  task.priority = request.pass * spec.layers.length + layer;
  task.bytes = bytes;
}

function cacheOp(
  kind: CacheOp['kind'],
  { costs, placement }: PassContext,
  { feeds }: Flow,
  layer: number,
  buffer: Region,
): CacheOp {
  const host = placement.kvCache[layer].byteOffset;
  const { attention } = costs.layers[layer];
  return { kind, host, device: buffer.byteOffset, stretches: cacheStretches(attention, kind, feeds) };
}

function weightsOf(context: PassContext, group: WeightGroup) {
  const { stream, pass, phase } = context.request;
  return (
    stream.inPlace(phase, group) ?? attentionWeights(context.layoutOf(group), stream.addressOf(pass, group))
  );
}

/** Fills in that a task's kernels read a share of the group over the link, where they do. */
function readsInHost(
  { request: { stream, phase } }: PassContext,
  task: OpenTask,
  group: WeightGroup,
  share: number,
): void {
  if (stream.inPlace(phase, group)) readsOverLink(task, share * group.storedBytes);
}
