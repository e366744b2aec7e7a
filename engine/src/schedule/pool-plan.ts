/** The pools laid out for settled choices: models, caches, activations, and the slots that streamed weights take. */

import { directIoAlignmentBytes } from '@specoffload/native';
import { largest } from '../extremes.js';
import { type PoolLayout as Pool, PoolLayout } from '../machine/pool.js';
import type { WeightGroup } from '../model/types.js';
import type { MemoryName } from '../topology/topology.js';
import {
  placeFrame,
  placeHostFrame,
  placeHostScratch,
  placeHostSinks,
  placeRopes,
  placeScratch,
} from './activations.js';
import { placeGroup } from './crossbars.js';
import { type GroupLayout, groupLayout } from './group-layout.js';
import { countCache, layerCacheBytes, placeCache } from './kv-cache.js';
import {
  type FrameRegions,
  type MemoryPlan,
  type ModelPlacement,
  type PlanRequest,
  type Pools,
  type SettledChoices,
  type Slots,
  type StreamedKind,
  streamedKinds,
} from './memory-plan.js';
import {
  pickKept,
  pickPinned,
  placeHostAttention,
  placeLayers,
  placeModel,
  placeResidentAttention,
} from './resident-layers.js';
import { placeTensors } from './resident-tensors.js';
import { placeRouters } from './router-copies.js';
import { wayOfStreamed } from './weight-way.js';

export function bufferLabel(pool: MemoryName): string {
  return `${pool} weight buffers`;
}

const cacheLabel = 'KV cache';
const cacheBufferLabel = 'KV cache buffers';

/** Planned so far, slots left out. */
function residentBytesOf(pool: Pool): number {
  return pool.totalBytes - pool.bytesOf(bufferLabel(pool.name)) - pool.bytesOf(cacheBufferLabel);
}

export function layOutPools(request: PlanRequest, choice: SettledChoices): MemoryPlan {
  const { target, demand, policy, formats, layouts, placeDraft, tensors, held } = request;
  const { memories, granularityBytes } = request;
  const layOut = (name: MemoryName) =>
    new PoolLayout(name, formats.largestPieceBytes, granularityBytes[name]);
  const pools = Object.fromEntries(memories.map((name) => [name, layOut(name)])) as Pools;
  const { host, device } = pools;
  if (request.queueBytes > 0) host.reserve('device queues', request.queueBytes);
  const pinnedSet = pickPinned(request, choice.pinnedLayers);
  const keptSet = pickKept(request, pinnedSet, choice.keptLayers);
  const placeWeights = (label: string, group: WeightGroup) =>
    placeGroup(held, pools, group, label, { pool: device, bytes: groupLayout(layouts, group).deviceBytes });
  const fixed = {
    ...placeModel(target, layouts, host, 'target', placeWeights),
    pinned: new Map([
      ...placeLayers(target, pinnedSet, (group) => placeWeights('pinned layers', group), held),
      ...placeTensors(held?.groups.filter(({ kind }) => kind !== 'head') ?? [], (group) =>
        placeWeights('weights', group),
      ),
      ...placeResidentAttention(request, pinnedSet, device),
      ...placeTensors(tensors.pinned, (group) =>
        device.place('pinned tensors', groupLayout(layouts, group).deviceBytes),
      ),
    ]),
    kept: new Map([
      ...placeLayers(
        target,
        keptSet,
        (group) => host.place('kept layers', groupLayout(layouts, group).stagedBytes),
        held,
      ),
      ...placeHostAttention(request, keptSet, host),
      ...placeTensors(tensors.kept, (group) =>
        host.place('kept tensors', groupLayout(layouts, group).stagedBytes),
      ),
    ]),
    kvCache: placeCache(
      target.spec,
      demand.targetCacheTokens,
      policy.cache === 'host' || demand.splitCacheTokens > 0 ? host : device,
      cacheLabel,
      formats,
    ),
    splitCache:
      demand.splitCacheTokens > 0
        ? placeCache(target.spec, demand.splitCacheTokens, device, cacheLabel, formats)
        : null,
    rope: placeRopes(target.spec, demand.numPositions, host, device, policy),
    hostSinks: placeHostSinks(target.spec, host, policy),
    routers: placeRouters(target.spec, host, policy, formats),
    formats,
    numPositions: demand.numPositions,
  };
  countCache(device, cacheLabel, request.cacheFactor);
  const slots = placeSlots(request, choice, pools);
  const resident = { ...fixed, pinnedLayers: [...pinnedSet] };
  const { frames, firstDecodeFrame, hostScratch, ...phases } = placePhases(
    { ...request, placeDraft: placeDraft && (() => placeDraft(pools, resident)) },
    choice.prefetchDepth,
    pools,
  );
  return {
    pools,
    routes: request.routes,
    held,
    slots,
    ...phases,
    ...choice,
    target: { ...fixed, frames, firstDecodeFrame, hostScratch },
  };
}

type PhaseRequest = Omit<PlanRequest, 'placeDraft'> & {
  readonly placeDraft: (() => ModelPlacement | null) | null;
};

type Phases = Pick<ModelPlacement, 'frames' | 'firstDecodeFrame' | 'hostScratch'> &
  Pick<MemoryPlan, 'cacheSlots' | 'draft' | 'residentBytes'>;

/** Activations of both phases, and the draft: where it comes after prefill, it takes the place of what only prefill needs. */
function placePhases(request: PhaseRequest, prefetchDepth: number, pools: Pools): Phases {
  const { demand, policy, placeDraft, memories } = request;
  const { targetFrameRows, decodeFrameRows } = demand;
  const { host, device } = pools;
  const residents = () => Object.fromEntries(memories.map((name) => [name, residentBytesOf(pools[name])]));
  const hostFrames = targetFrameRows.map((rows, index) =>
    placeHostFrame(request, rows, decodeFrameRows[index] ?? 0, host),
  );
  const placeFrames = (frameRows: readonly number[]) =>
    placeDeviceFrames(request, frameRows, device).map((frame, index) => ({ ...frame, ...hostFrames[index] }));
  const placeSlots = () => placeCacheSlots(request, prefetchDepth, device);
  const hostScratch = placeHostScratch(request, largest(targetFrameRows), host);
  if (policy.draftPlacement === 'start' || !placeDraft) {
    const [frames, cacheSlots] = [placeFrames(targetFrameRows), placeSlots()];
    const draft = placeDraft?.() ?? null;
    const bytes = residents();
    const residentBytes = { prefill: bytes, decode: bytes };
    return { frames, firstDecodeFrame: 0, hostScratch, cacheSlots, draft, residentBytes };
  }
  let cacheSlots = policy.attention === 'host' ? null : placeSlots();
  let draft: ModelPlacement | null = null;
  let [prefillFrames, decodeFrames]: FrameRegions[][] = [[], []];
  let [prefill, decode] = [residents(), residents()];
  device.overlay(
    () => {
      prefillFrames = placeFrames(targetFrameRows);
      cacheSlots ??= placeSlots();
      prefill = residents();
    },
    () => {
      decodeFrames = placeFrames(decodeFrameRows);
      draft = placeDraft();
      decode = residents();
    },
  );
  // What the draft has in host memory is there from the start.
  prefill.host = decode.host;
  return {
    frames: [...prefillFrames, ...decodeFrames],
    firstDecodeFrame: prefillFrames.length,
    hostScratch,
    cacheSlots,
    draft,
    residentBytes: { prefill, decode },
  };
}

function placeDeviceFrames({ target, formats }: PlanRequest, frameRows: readonly number[], device: Pool) {
  const scratch = placeScratch(target.spec, largest(frameRows), device, formats);
  return frameRows.map((rows) => ({ ...placeFrame(target.spec, rows, device, formats), scratch }));
}

/**
 * Host buffers stage more than the groups they are sized for: a head or a draft comes through them in pieces, each
 * read with up to a block to spare at either end.
 */
const smallestStagingBytes = 16 * directIoAlignmentBytes;

/** Where streamed groups wait on their way, and where they land in device memory. */
function placeSlots(
  { layouts, policy, routes, held }: PlanRequest,
  { prefetchDepth, cachedOnDevice, cachedOnHost }: SettledChoices,
  pools: Pools,
) {
  const largestOf = (kind: StreamedKind, bytesOf: (layout: GroupLayout) => number) => {
    let bytes = 0;
    for (const layout of layouts.values())
      if (layout.group.kind === kind && !held?.ids.has(layout.group.id))
        bytes = Math.max(bytes, bytesOf(layout));
    return bytes;
  };
  const place = ({ name: memory }: Pool, name: string, count: number, slotBytes: number): Slots => ({
    slotClass: { name: `${memory}.${name}`, count },
    regions: Array.from({ length: count }, () => pools[memory].place(bufferLabel(memory), slotBytes)),
  });
  const stagedBytes = (kind: StreamedKind) =>
    Math.max(
      largestOf(kind, (layout) => layout.stagedBytes),
      smallestStagingBytes,
    );
  const deviceBytes = (kind: StreamedKind) => largestOf(kind, (layout) => layout.deviceBytes);
  const isOnDemand = policy.streaming === 'on-demand';
  // On demand nothing waits: one group is staged at a time.
  const mostStaged = isOnDemand ? 1 : Math.max(1, prefetchDepth);
  const ways = streamedKinds.map((kind) => [kind, wayOfStreamed(routes, policy, kind)] as const);
  const stops = new Set(['host', ...ways.flatMap(([, way]) => way.slice(0, -1).map(({ to }) => to))]);
  const slots: Record<MemoryName, Record<StreamedKind, Slots>> = {};
  for (const stop of stops) {
    const staged = ways.map(([kind, way]) => {
      const isStop = way.slice(0, -1).some(({ to }) => to === stop);
      const cached = stop === 'host' && kind === 'expert' ? cachedOnHost : 0;
      return [kind, place(pools[stop], kind, isStop ? mostStaged + cached : 0, stagedBytes(kind))];
    });
    slots[stop] = Object.fromEntries(staged);
  }
  if (isOnDemand) {
    const only = place(pools.device, 'group', 1, largest(streamedKinds.map(deviceBytes)));
    return { ...slots, device: { attention: only, expert: only } };
  }
  // One more than waits: the group that is being computed with.
  const landed = streamedKinds.map((kind) => [
    kind,
    place(
      pools.device,
      kind,
      prefetchDepth + 1 + (kind === 'expert' ? cachedOnDevice : 0),
      deviceBytes(kind),
    ),
  ]);
  return { ...slots, device: Object.fromEntries(landed) as Record<StreamedKind, Slots> };
}

/** One frame's part of one layer's cache, twice where the next one may cross while one is in use. */
function placeCacheSlots(
  { target, demand, policy, formats, cacheFactor }: PlanRequest,
  prefetchDepth: number,
  device: Pool,
): Slots | null {
  const isOnDevice = policy.cache === 'device' && demand.splitCacheTokens === 0;
  if (isOnDevice || demand.frameCacheTokens === 0) return null;
  const count = prefetchDepth > 0 ? 2 : 1;
  const bytes =
    demand.frameCacheTokens *
    largest(target.spec.layers.map(({ attention }) => layerCacheBytes(attention, formats)));
  const regions = Array.from({ length: count }, () => device.place(cacheBufferLabel, bytes));
  countCache(device, cacheBufferLabel, cacheFactor);
  return { slotClass: { name: 'device.cache', count }, regions };
}
