/** Both pools laid out for settled choices: models, caches, activations, and the slots that streamed weights take. */

import { directIoAlignmentBytes } from '@specoffload/native';
import { largest } from '../extremes.js';
import { type PoolLayout as Pool, PoolLayout } from '../machine/pool.js';
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
import type { MemoryPlan, ModelPlacement, PlanRequest, SettledChoices, Slots } from './memory-plan.js';
import { pickKept, pickPinned, placeLayers, placeModel, placeResidentAttention } from './resident-layers.js';
import { type StreamedKind, wayOfStreamed } from './weight-way.js';

export function bufferLabel(pool: Pool['name']): string {
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
  const { granularityBytes } = request;
  const host = new PoolLayout('host', formats.largestPieceBytes, granularityBytes.host);
  const device = new PoolLayout('device', formats.largestPieceBytes, granularityBytes.device);
  const pinnedSet = pickPinned(target, choice.pinnedLayers);
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
  const slots = placeSlots(request, choice.prefetchDepth, host, device);
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
    prefillBytes = residentBytesOf(device),
    decodeBytes = prefillBytes,
  ): MemoryPlan => ({
    ...{ host, device, routes: request.routes, ...slots, cacheSlots, ...choice },
    target: { ...fixed, ...activations },
    draft: draftPlacement,
    residentBytes: {
      prefill: { device: prefillBytes, host: residentBytesOf(host) },
      decode: { device: decodeBytes, host: residentBytesOf(host) },
    },
  });
  if (policy.draftPlacement === 'start' || !placeDraft)
    return settle(activate(), placeDraft?.(host, device) ?? null);

  let prefill: ReturnType<typeof activate> | undefined;
  let draftPlacement: ModelPlacement | null = null;
  let prefillBytes = 0;
  let decodeBytes = 0;
  device.overlay(
    () => {
      prefill = activate();
      prefillBytes = residentBytesOf(device);
    },
    () => {
      placeActivations(demand.decodeFrameRows, null, false);
      draftPlacement = placeDraft(host, device);
      decodeBytes = residentBytesOf(device);
    },
  );
  return settle(prefill as ReturnType<typeof activate>, draftPlacement, prefillBytes, decodeBytes);
}

/**
 * Host buffers stage more than the groups they are sized for: a head or a draft comes through them in pieces, each
 * read with up to a block to spare at either end.
 */
const smallestStagingBytes = 16 * directIoAlignmentBytes;

/** Where streamed groups wait in host memory, and where they land in device memory. */
function placeSlots(
  { layouts, policy, routes }: PlanRequest,
  prefetchDepth: number,
  host: Pool,
  device: Pool,
) {
  const largest = (kind: StreamedKind, bytesOf: (layout: GroupLayout) => number) => {
    let bytes = 0;
    for (const layout of layouts.values())
      if (layout.group.kind === kind) bytes = Math.max(bytes, bytesOf(layout));
    return bytes;
  };
  const place = (pool: Pool, name: string, count: number, slotBytes: number): Slots => ({
    slotClass: { name: `${pool.name}.${name}`, count },
    regions: Array.from({ length: count }, () => pool.place(bufferLabel(pool.name), slotBytes)),
  });
  const stagedBytes = (kind: StreamedKind) =>
    Math.max(
      largest(kind, (layout) => layout.stagedBytes),
      smallestStagingBytes,
    );
  const deviceBytes = (kind: StreamedKind) => largest(kind, (layout) => layout.deviceBytes);
  // On demand nothing waits: one group is staged at a time.
  const mostStaged = policy.streaming === 'on-demand' ? 1 : Math.max(1, prefetchDepth);
  const numStaged = (kind: StreamedKind) => (wayOfStreamed(routes, policy, kind).length > 1 ? mostStaged : 0);
  const hostSlots = {
    attention: place(host, 'attention', numStaged('attention'), stagedBytes('attention')),
    expert: place(host, 'expert', numStaged('expert'), stagedBytes('expert')),
  };
  if (policy.streaming === 'on-demand') {
    const only = place(device, 'group', 1, Math.max(deviceBytes('attention'), deviceBytes('expert')));
    return { hostSlots, deviceSlots: { attention: only, expert: only } };
  }
  // One more than waits: the group that is being computed with.
  const deviceSlots = {
    attention: place(device, 'attention', prefetchDepth + 1, deviceBytes('attention')),
    expert: place(device, 'expert', prefetchDepth + 1, deviceBytes('expert')),
  };
  return { hostSlots, deviceSlots };
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
