/** The pools laid out for settled choices: models, caches, activations, and the slots that streamed weights take. */

import { directIoAlignmentBytes } from '@specoffload/native';
import { largest } from '../extremes.js';
import { type PoolLayout as Pool, PoolLayout } from '../machine/pool.js';
import type { MemoryName } from '../topology/topology.js';
import {
  placeFrame,
  placeHostExpertRows,
  placeHostExperts,
  placeHostSinks,
  placeRopes,
  placeScratch,
} from './activations.js';
import { type GroupLayout, groupLayout } from './group-layout.js';
import { countCache, layerCacheBytes, placeCache } from './kv-cache.js';
import {
  type MemoryPlan,
  type ModelPlacement,
  type PlanRequest,
  type Pools,
  type SettledChoices,
  type Slots,
  type StreamedKind,
  streamedKinds,
} from './memory-plan.js';
import { pickKept, pickPinned, placeLayers, placeModel, placeResidentAttention } from './resident-layers.js';
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
  const { target, demand, policy, formats, layouts, placeDraft } = request;
  const { memories, granularityBytes } = request;
  const layOut = (name: MemoryName) =>
    new PoolLayout(name, formats.largestPieceBytes, granularityBytes[name]);
  const pools = Object.fromEntries(memories.map((name) => [name, layOut(name)])) as Pools;
  const { host, device } = pools;
  if (formats.hostExchangeBytes) host.reserve('device queues', formats.hostExchangeBytes);
  const pinnedSet = pickPinned(request, choice.pinnedLayers);
  const keptSet = pickKept(request, pinnedSet, choice.keptLayers);
  const fixed = {
    ...placeModel(target, layouts, host, device, 'target'),
    pinned: new Map([
      ...placeLayers(target, pinnedSet, (group) =>
        device.place('pinned layers', groupLayout(layouts, group).deviceBytes),
      ),
      ...placeResidentAttention(request, pinnedSet, device),
    ]),
    kept: placeLayers(target, keptSet, (group) =>
      host.place('kept layers', groupLayout(layouts, group).stagedBytes),
    ),
    kvCache: placeCache(
      target.spec,
      demand.targetCacheTokens,
      policy.cache === 'host' ? host : device,
      cacheLabel,
      formats,
    ),
    rope: placeRopes(target.spec, demand.numPositions, host, device, policy),
    hostSinks: placeHostSinks(target.spec, host, policy),
    ...{ formats, numPositions: demand.numPositions },
  };
  countCache(device, cacheLabel, request.cacheFactor);
  const slots = placeSlots(request, choice.prefetchDepth, pools);
  const usesHost = policy.attention !== 'device' || policy.prefillAttention === 'host';
  const placeActivations = (frameRows: readonly number[], hostPool: Pool | null, placesExperts: boolean) => ({
    frames: frameRows.map((rows) => ({
      ...placeFrame(target.spec, rows, device, hostPool, formats),
      hostExperts: placesExperts ? placeHostExpertRows(request, rows, host) : null,
    })),
    scratch: placeScratch(target.spec, largest(frameRows), device, formats),
    hostExperts: placesExperts ? placeHostExperts(request, largest(frameRows), host) : null,
  });
  const activate = () => ({
    ...placeActivations(demand.targetFrameRows, usesHost ? host : null, policy.hostExpertRows > 0),
    cacheSlots: placeCacheSlots(request, choice.prefetchDepth, device),
  });
  const settle = (
    { cacheSlots, ...activations }: ReturnType<typeof activate>,
    draftPlacement: ModelPlacement | null,
    prefillBytes = residents(),
    decodeBytes = prefillBytes,
  ): MemoryPlan => ({
    ...{ pools, routes: request.routes, slots, cacheSlots, ...choice },
    target: { ...fixed, ...activations },
    draft: draftPlacement,
    residentBytes: { prefill: prefillBytes, decode: decodeBytes },
  });
  const residents = () => Object.fromEntries(memories.map((name) => [name, residentBytesOf(pools[name])]));
  const resident = { ...fixed, pinnedLayers: [...pinnedSet] };
  if (policy.draftPlacement === 'start' || !placeDraft)
    return settle(activate(), placeDraft?.(pools, resident) ?? null);

  let prefill: ReturnType<typeof activate> | undefined;
  let draftPlacement: ModelPlacement | null = null;
  let [prefillBytes, decodeBytes] = [residents(), residents()];
  device.overlay(
    () => {
      prefill = activate();
      prefillBytes = residents();
    },
    () => {
      placeActivations(demand.decodeFrameRows, null, false);
      draftPlacement = placeDraft(pools, resident);
      decodeBytes = residents();
    },
  );
  // What the draft has in host memory is there from the start.
  prefillBytes.host = decodeBytes.host;
  return settle(prefill as ReturnType<typeof activate>, draftPlacement, prefillBytes, decodeBytes);
}

/**
 * Host buffers stage more than the groups they are sized for: a head or a draft comes through them in pieces, each
 * read with up to a block to spare at either end.
 */
const smallestStagingBytes = 16 * directIoAlignmentBytes;

/** Where streamed groups wait on their way, and where they land in device memory. */
function placeSlots({ layouts, policy, routes }: PlanRequest, prefetchDepth: number, pools: Pools) {
  const largestOf = (kind: StreamedKind, bytesOf: (layout: GroupLayout) => number) => {
    let bytes = 0;
    for (const layout of layouts.values())
      if (layout.group.kind === kind) bytes = Math.max(bytes, bytesOf(layout));
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
      return [kind, place(pools[stop], kind, isStop ? mostStaged : 0, stagedBytes(kind))];
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
    place(pools.device, kind, prefetchDepth + 1, deviceBytes(kind)),
  ]);
  return { ...slots, device: Object.fromEntries(landed) as Record<StreamedKind, Slots> };
}

/** One frame's part of one layer's cache, twice where the next one may cross while one is in use. */
function placeCacheSlots(
  { target, demand, policy, formats, cacheFactor }: PlanRequest,
  prefetchDepth: number,
  device: Pool,
): Slots | null {
  if (policy.cache === 'device' || demand.frameCacheTokens === 0) return null;
  const count = prefetchDepth > 0 ? 2 : 1;
  const bytes =
    demand.frameCacheTokens *
    largest(target.spec.layers.map(({ attention }) => layerCacheBytes(attention, formats)));
  const regions = Array.from({ length: count }, () => device.place(cacheBufferLabel, bytes));
  countCache(device, cacheBufferLabel, cacheFactor);
  return { slotClass: { name: 'device.cache', count }, regions };
}
