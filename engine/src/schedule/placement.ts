/**
 * Where everything lives: a complete memory plan for both pools, made and checked against the budgets before the
 * first byte moves. What is left over keeps layers: device memory first (pinned), then host memory (kept).
 */

import { directIoAlignmentBytes } from '@specoffload/native';
import { type Formats, localFormats } from '../machine/formats.js';
import { type PoolLayout as Pool, PoolLayout, placedBytes, type Region } from '../machine/pool.js';
import { type Checkpoint, type ModelConfig, UserError, type WeightGroup } from '../model/types.js';
import type { PhaseName } from '../trace/types.js';
import { alignUp, type GroupLayout, layOutGroup } from './group-layout.js';
import type { OpenChoices, OpenPolicy } from './policy.js';
import type { SlotClass } from './task.js';

/** Rows that one call of an FFN or of the head takes; longer inputs go in pieces, so scratch memory is bounded. */
export const ffnChunkRows = 256;
export const headChunkRows = 64;

/**
 * Host buffers stage more than the groups they are sized for: a head or a draft comes through them in pieces, each
 * read with up to a block to spare at either end.
 */
const smallestStagingBytes = 16 * directIoAlignmentBytes;

/** Activations of the sequences that go through a layer together. */
export interface FrameRegions {
  /** Device: two hidden-state buffers (row, hidden) that layers alternate between, and the normed rows. */
  readonly hidden: readonly [Region, Region];
  readonly normed: Region;
  /** Host (absent for a model whose attention runs on the device): q and out (row, head, headDim), k and v. */
  readonly host: { readonly q: Region; readonly k: Region; readonly v: Region; readonly out: Region } | null;
  /** Host (null unless the host computes experts): the normed rows, and the output of the rows that chose an expert. */
  readonly hostExperts: { readonly normed: Region; readonly out: Region } | null;
}

/** Host buffers that live only while the host computes an expert. */
export interface HostExpertRegions {
  readonly gathered: Region; // (ffnChunkRows, hidden)
  /** The expert as the arithmetic takes it; null where that is as it is stored. */
  readonly weights: Region | null;
}

/** Device buffers that live only within one task. */
export interface ScratchRegions {
  readonly q: Region; // (row, head * headDim)
  readonly k: Region; // (row, kvHead * headDim)
  readonly v: Region;
  readonly attention: Region; // (row, head * headDim)
  readonly router: Region; // (row, expert)
  readonly gathered: Region; // (ffnChunkRows, hidden)
  readonly ffnOut: Region; // (ffnChunkRows, hidden)
  readonly headIn: Region; // (headChunkRows, hidden)
  readonly logits: Region; // (headChunkRows, vocab)
}

/** Slots of one memory and group kind, and where each lies. */
export interface Slots {
  readonly slotClass: SlotClass;
  readonly regions: readonly Region[];
}

/** Rotation tables, (position, headDim / 2) each. */
export interface RopeRegions {
  readonly cos: Region;
  readonly sin: Region;
}

/** One model's share of both pools. */
export interface ModelPlacement {
  readonly checkpoint: Checkpoint;
  readonly formats: Formats;
  readonly layouts: ReadonlyMap<string, GroupLayout>;
  /** Embedding rows as stored, in host memory. */
  readonly embedding: Region;
  readonly head: Region;
  /** Groups that stay in device memory, by id. */
  readonly pinned: ReadonlyMap<string, Region>;
  /** Groups that stay in host memory as stored, by id. */
  readonly kept: ReadonlyMap<string, Region>;
  readonly frames: readonly FrameRegions[];
  readonly scratch: ScratchRegions;
  /** Null unless the host computes experts. */
  readonly hostExperts: HostExpertRegions | null;
  /** Per layer: the sequences' blocks; the draft's are in device memory, the target's where its policy says. */
  readonly kvCache: readonly Region[];
  /** Wherever attention is computed. */
  readonly rope: { readonly host: RopeRegions | null; readonly device: RopeRegions | null };
  readonly numPositions: number;
}

export interface MemoryPlan {
  readonly host: Pool;
  readonly device: Pool;
  readonly target: ModelPlacement;
  readonly draft: ModelPlacement | null;
  /** By group kind: staging in host memory and landing in device memory. */
  readonly hostSlots: Readonly<Record<'attention' | 'expert', Slots>>;
  readonly deviceSlots: Readonly<Record<'attention' | 'expert', Slots>>;
  /** Device buffers for one layer's part of a frame's KV cache, where it lives in host memory and is used on the device. */
  readonly cacheSlots: Slots | null;
  /** All but the slots, by phase: a draft that comes after prefill takes the place of prefill's activations. */
  readonly residentBytes: Readonly<Record<PhaseName, Readonly<Record<Pool['name'], number>>>>;
  readonly prefetchDepth: number;
  readonly pinnedLayers: number;
  readonly keptLayers: number;
}

/** What the run will ask of memory. */
export interface MemoryDemand {
  /** Rows of each micro-batch that is in flight at the same time, at their largest. */
  readonly targetFrameRows: readonly number[];
  /** The same in decode alone. */
  readonly decodeFrameRows: readonly number[];
  readonly draftRows: number;
  /** Tokens of all KV blocks alive at the same time. */
  readonly targetCacheTokens: number;
  readonly draftCacheTokens: number;
  /** Tokens of the KV blocks of a frame whose attention is on the device, at most. */
  readonly frameCacheTokens: number;
  /** Longest sequence, for the rotation tables. */
  readonly numPositions: number;
}

export interface Budgets {
  readonly deviceBytes: number;
  readonly hostBytes: number;
}

/**
 * Plans both pools.
 * @throws UserError when a budget is too small, naming the smallest that would do.
 */
export function planMemory(
  target: Checkpoint,
  draft: Checkpoint | null,
  demand: MemoryDemand,
  budgets: Budgets,
  policy: OpenPolicy,
  formats: Formats = localFormats,
): MemoryPlan {
  const request: PlanRequest = {
    ...{ target, draft, demand, policy, formats },
    layouts: layOutGroups(target, formats),
    draftLayouts: draft ? layOutGroups(draft, formats) : new Map(),
  };
  const layOut = (prefetchDepth: number, pinnedLayers: number, keptLayers: number) =>
    layOutPools(request, { prefetchDepth, pinnedLayers, keptLayers });
  const { numLayers } = target.config;
  const pinnedWish = Math.min(policy.pinnedLayers ?? 0, numLayers);
  const keptWish = Math.min(policy.keptLayers ?? 0, numLayers - pinnedWish);
  const prefetchDepth =
    policy.prefetchDepth ?? deepestAffordable((depth) => layOut(depth, pinnedWish, keptWish), budgets);
  const wished = layOut(prefetchDepth, pinnedWish, keptWish);
  assertFits(wished, budgets, () => layOut(Math.min(prefetchDepth, 1), 0, 0));

  const pinnedLayers =
    policy.pinnedLayers ??
    mostThatFit(numLayers, budgets.deviceBytes - wished.device.totalBytes, (n) =>
      pinnedBytes(request, pickPinned(target, n)),
    );
  const pinned = pickPinned(target, Math.min(pinnedLayers, numLayers));
  const keptLayers =
    policy.keptLayers ??
    mostThatFit(numLayers - pinned.size, budgets.hostBytes - wished.host.totalBytes, (n) =>
      keptBytes(request, pickKept(target, pinned, n)),
    );
  return layOut(prefetchDepth, pinned.size, Math.min(keptLayers, numLayers - pinned.size));
}

/** Everything a layout is made from besides the open choices. */
interface PlanRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  readonly demand: MemoryDemand;
  readonly policy: OpenPolicy;
  readonly formats: Formats;
  readonly layouts: ReadonlyMap<string, GroupLayout>;
  readonly draftLayouts: ReadonlyMap<string, GroupLayout>;
}

type SettledChoices = { readonly [Field in keyof OpenChoices]: number };

/**
 * How far to read ahead where nobody has said: up to 8 groups, as long as the buffers take no more than a third of
 * either budget. More smooths the lanes' unequal steps, but leaves less room for layers that stay: on the main job 8
 * took 12 % off serial's decode time against 4, and 16 gained nothing more.
 */
function deepestAffordable(layOut: (depth: number) => MemoryPlan, budgets: Budgets): number {
  const isAffordable = (depth: number) => {
    const plan = layOut(depth);
    return (['device', 'host'] as const).every((pool) => {
      const budgetBytes = budgets[`${pool}Bytes`];
      const bufferBytes = plan[pool].bytesOf(bufferLabel(pool));
      return plan[pool].totalBytes <= budgetBytes && bufferBytes <= budgetBytes / 3;
    });
  };
  return Math.max(1, largestWhere(8, isAffordable));
}

function bufferLabel(pool: Pool['name']): string {
  return `${pool} weight buffers`;
}

const cacheBufferLabel = 'KV cache buffers';

/** Planned so far, slots left out. */
function residentBytesOf(pool: Pool): number {
  return pool.totalBytes - pool.bytesOf(bufferLabel(pool.name)) - pool.bytesOf(cacheBufferLabel);
}

/** @param layOutSmallest what would do, asked where the plan does not */
function assertFits(plan: MemoryPlan, budgets: Budgets, layOutSmallest: () => MemoryPlan): void {
  for (const pool of ['device', 'host'] as const) {
    if (plan[pool].totalBytes <= budgets[`${pool}Bytes`]) continue;
    const smallest = layOutSmallest();
    const least = smallest[pool].totalBytes;
    const remedy =
      least <= budgets[`${pool}Bytes`]
        ? `lower prefetchDepth, pinnedLayers or keptLayers: the smallest budget for these batches is ${Math.ceil(least / 2 ** 20)} MiB`
        : `raise it to at least ${Math.ceil(least / 2 ** 20)} MiB (with prefetchDepth ${smallest.prefetchDepth}), or use smaller batches`;
    plan[pool].assertFits(budgets[`${pool}Bytes`], remedy);
  }
}

/** Layers up to `most` whose bytes fit into what is left of a budget; they grow with the layers. */
function mostThatFit(most: number, leftBytes: number, bytesOf: (numLayers: number) => number): number {
  return largestWhere(most, (numLayers) => bytesOf(numLayers) <= leftBytes);
}

/** The largest n up to `most` that `holds` is true of, as of all below it; 0 where there is none. */
function largestWhere(most: number, holds: (n: number) => boolean): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What pinned layers add to a plan without any: resident attention weights are there anyway. */
function pinnedBytes({ target, layouts, policy }: PlanRequest, layers: ReadonlySet<number>): number {
  const isAttentionThere = policy.attentionWeights === 'resident';
  return sumGroups(target, layers, (group) =>
    isAttentionThere && group.kind === 'attention' ? 0 : groupLayout(layouts, group).deviceBytes,
  );
}

/** What kept layers add to a plan without any. */
function keptBytes({ target, layouts }: PlanRequest, layers: ReadonlySet<number>): number {
  return sumGroups(target, layers, (group) => groupLayout(layouts, group).stagedBytes);
}

function sumGroups(
  { layers: all }: Checkpoint,
  layers: ReadonlySet<number>,
  bytesOf: (group: WeightGroup) => number,
): number {
  let bytes = 0;
  for (const layer of layers) {
    bytes += placedBytes(bytesOf(all[layer].attention));
    for (const expert of all[layer].experts) bytes += placedBytes(bytesOf(expert));
  }
  return bytes;
}

function pickPinned({ layers }: Checkpoint, count: number): ReadonlySet<number> {
  return spreadEvenly(count, [...layers.keys()]);
}

function pickKept({ layers }: Checkpoint, pinned: ReadonlySet<number>, count: number): ReadonlySet<number> {
  return spreadEvenly(
    count,
    [...layers.keys()].filter((layer) => !pinned.has(layer)),
  );
}

function layOutPools(request: PlanRequest, choice: SettledChoices): MemoryPlan {
  const { target, draft, demand, policy, formats, layouts } = request;
  const host = new PoolLayout('host', formats.largestPieceBytes);
  const device = new PoolLayout('device', formats.largestPieceBytes);
  const pinnedSet = pickPinned(target, choice.pinnedLayers);
  const keptSet = pickKept(target, pinnedSet, choice.keptLayers);
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
      target.config,
      demand.targetCacheTokens,
      policy.cache === 'host' ? host : device,
      'KV cache',
      formats,
    ),
    rope: placeRopes(target.config, demand.numPositions, host, device, policy),
    ...{ formats, numPositions: demand.numPositions },
  };
  const slots = placeSlots(request, choice.prefetchDepth, host, device);
  const usesHost = policy.attention !== 'device' || policy.prefillAttention === 'host';
  const placeActivations = (frameRows: readonly number[], hostPool: Pool | null, placesExperts: boolean) => ({
    frames: frameRows.map((rows) => ({
      ...placeFrame(target.config, rows, device, hostPool, formats),
      hostExperts: placesExperts ? placeHostExpertRows(request, rows, host) : null,
    })),
    scratch: placeScratch(target.config, Math.max(...frameRows), device, formats),
    hostExperts: placesExperts ? placeHostExperts(request, Math.max(...frameRows), host) : null,
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
    ...{ host, device, ...slots, cacheSlots, ...choice },
    target: { ...fixed, ...activations },
    draft: draftPlacement,
    residentBytes: {
      prefill: { device: prefillBytes, host: residentBytesOf(host) },
      decode: { device: decodeBytes, host: residentBytesOf(host) },
    },
  });
  if (policy.draftPlacement === 'start' || !draft)
    return settle(activate(), draft && placeDraft(request, draft, host, device));

  let prefill: ReturnType<typeof activate> | undefined;
  let draftPlacement: ModelPlacement | undefined;
  let prefillBytes = 0;
  let decodeBytes = 0;
  device.overlay(
    () => {
      prefill = activate();
      prefillBytes = residentBytesOf(device);
    },
    () => {
      placeActivations(demand.decodeFrameRows, null, false);
      draftPlacement = placeDraft(request, draft, host, device);
      decodeBytes = residentBytesOf(device);
    },
  );
  return settle(prefill as ReturnType<typeof activate>, draftPlacement ?? null, prefillBytes, decodeBytes);
}

/** Where streamed groups wait in host memory, and where they land in device memory. */
function placeSlots({ layouts, policy }: PlanRequest, prefetchDepth: number, host: Pool, device: Pool) {
  const largest = (kind: 'attention' | 'expert', bytesOf: (layout: GroupLayout) => number) => {
    let bytes = 0;
    for (const layout of layouts.values())
      if (layout.group.kind === kind) bytes = Math.max(bytes, bytesOf(layout));
    return bytes;
  };
  const place = (pool: Pool, name: string, count: number, slotBytes: number): Slots => ({
    slotClass: { name: `${pool.name}.${name}`, count },
    regions: Array.from({ length: count }, () => pool.place(bufferLabel(pool.name), slotBytes)),
  });
  const stagedBytes = (kind: 'attention' | 'expert') =>
    Math.max(
      largest(kind, (layout) => layout.stagedBytes),
      smallestStagingBytes,
    );
  const deviceBytes = (kind: 'attention' | 'expert') => largest(kind, (layout) => layout.deviceBytes);
  // On demand nothing waits: one group is staged at a time.
  const numStaged = policy.streaming === 'on-demand' ? 1 : Math.max(1, prefetchDepth);
  const hostSlots = {
    attention: place(host, 'attention', numStaged, stagedBytes('attention')),
    expert: place(host, 'expert', numStaged, stagedBytes('expert')),
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
  { target, demand, policy, formats }: PlanRequest,
  prefetchDepth: number,
  device: Pool,
): Slots | null {
  if (policy.cache === 'device' || demand.frameCacheTokens === 0) return null;
  const count = prefetchDepth > 0 ? 2 : 1;
  const bytes =
    (demand.frameCacheTokens * cacheBytesPerToken(target.config, formats)) / target.config.numLayers;
  return {
    slotClass: { name: 'device.cache', count },
    regions: Array.from({ length: count }, () => device.place(cacheBufferLabel, bytes)),
  };
}

/** The draft lives on the device: weights, KV cache and activations. */
function placeDraft(
  { demand, formats, draftLayouts: layouts }: PlanRequest,
  draft: Checkpoint,
  host: Pool,
  device: Pool,
): ModelPlacement {
  const allLayers = new Set(draft.layers.keys());
  return {
    ...placeModel(draft, layouts, host, device, 'draft'),
    pinned: placeLayers(draft, allLayers, (group) =>
      device.place('draft weights', groupLayout(layouts, group).deviceBytes),
    ),
    kept: new Map(),
    frames: [{ ...placeFrame(draft.config, demand.draftRows, device, null, formats), hostExperts: null }],
    scratch: placeScratch(draft.config, demand.draftRows, device, formats),
    hostExperts: null,
    kvCache: placeCache(draft.config, demand.draftCacheTokens, device, 'draft KV cache', formats),
    rope: { host: null, device: placeRope(draft.config, demand.numPositions, device) },
    ...{ formats, numPositions: demand.numPositions },
  };
}

function placeModel(
  checkpoint: Checkpoint,
  layouts: ReadonlyMap<string, GroupLayout>,
  host: Pool,
  device: Pool,
  name: string,
) {
  return {
    checkpoint,
    layouts,
    embedding: host.place(`${name} embedding`, groupLayout(layouts, checkpoint.embedding).stagedBytes),
    head: device.place(`${name} head`, groupLayout(layouts, checkpoint.head).deviceBytes),
  };
}

function placeLayers(
  checkpoint: Checkpoint,
  layers: ReadonlySet<number>,
  place: (group: WeightGroup) => Region,
): Map<string, Region> {
  const regions = new Map<string, Region>();
  for (const layer of layers) {
    const { attention, experts } = checkpoint.layers[layer];
    for (const group of [attention, ...experts]) regions.set(group.id, place(group));
  }
  return regions;
}

function placeResidentAttention(
  { target, layouts, policy }: PlanRequest,
  pinnedSet: ReadonlySet<number>,
  device: Pool,
): [string, Region][] {
  if (policy.attentionWeights === 'streamed') return [];
  return target.layers
    .filter((_, layer) => !pinnedSet.has(layer))
    .map(({ attention }) => [
      attention.id,
      device.place('attention weights', groupLayout(layouts, attention).deviceBytes),
    ]);
}

function placeFrame(
  config: ModelConfig,
  rows: number,
  device: Pool,
  host: Pool | null,
  { activationElementBytes }: Formats,
): Omit<FrameRegions, 'hostExperts'> {
  const hiddenBytes = rows * config.hiddenSize * activationElementBytes;
  const queryBytes = rows * config.numHeads * config.headDim * activationElementBytes;
  const keyBytes = rows * config.numKvHeads * config.headDim * activationElementBytes;
  const label = 'activations';
  return {
    hidden: [device.place(label, hiddenBytes), device.place(label, hiddenBytes)],
    normed: device.place(label, hiddenBytes),
    host: host && {
      q: host.place(label, queryBytes),
      k: host.place(label, keyBytes),
      v: host.place(label, keyBytes),
      out: host.place(label, queryBytes),
    },
  };
}

function placeHostExpertRows(
  { target, policy, formats }: PlanRequest,
  rows: number,
  host: Pool,
): FrameRegions['hostExperts'] {
  const rowBytes = target.config.hiddenSize * formats.activationElementBytes;
  return {
    normed: host.place('activations', rows * rowBytes),
    out: host.place('activations', Math.min(rows, policy.hostExpertRows) * rowBytes),
  };
}

function placeHostExperts(
  { target, policy, layouts, formats }: PlanRequest,
  rows: number,
  host: Pool,
): HostExpertRegions {
  const { hiddenSize, ffnSize } = target.config;
  const chunkRows = Math.min(rows, policy.hostExpertRows, ffnChunkRows);
  host.reserve('provider workspace', 3 * chunkRows * ffnSize * formats.activationElementBytes);
  const widenedBytes = target.layers[0].experts.map((group) => groupLayout(layouts, group).deviceBytes);
  return {
    gathered: host.place('scratch', chunkRows * hiddenSize * formats.activationElementBytes),
    weights: formats.weightElementBytes === null ? null : host.place('scratch', Math.max(...widenedBytes)),
  };
}

function placeScratch(
  config: ModelConfig,
  rows: number,
  device: Pool,
  { activationElementBytes }: Formats,
): ScratchRegions {
  const floats = (count: number) => device.place('scratch', count * activationElementBytes);
  const { hiddenSize, numHeads, numKvHeads, headDim, ffnSize, vocabSize, numExperts } = config;
  // The provider allocates the products inside an FFN itself: gate, its sigmoid, and up, each (row, ffn).
  device.reserve('provider workspace', 3 * Math.min(rows, ffnChunkRows) * ffnSize * activationElementBytes);
  return {
    q: floats(rows * numHeads * headDim),
    k: floats(rows * numKvHeads * headDim),
    v: floats(rows * numKvHeads * headDim),
    attention: floats(rows * numHeads * headDim),
    router: floats(rows * numExperts),
    gathered: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    ffnOut: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    headIn: floats(Math.min(rows, headChunkRows) * hiddenSize),
    logits: floats(Math.min(rows, headChunkRows) * vocabSize),
  };
}

function placeRopes(
  config: ModelConfig,
  numPositions: number,
  host: Pool,
  device: Pool,
  { attention, prefillAttention }: OpenPolicy,
): ModelPlacement['rope'] {
  const lanes = [attention === 'split' ? 'host' : attention, prefillAttention];
  return {
    host: lanes.includes('host') ? placeRope(config, numPositions, host) : null,
    device:
      lanes.includes('device') || attention === 'split' ? placeRope(config, numPositions, device) : null,
  };
}

function placeRope(config: ModelConfig, numPositions: number, pool: Pool): RopeRegions {
  const bytes = (numPositions * config.headDim * 4) / 2;
  return { cos: pool.place('rotation tables', bytes), sin: pool.place('rotation tables', bytes) };
}

function placeCache(
  config: ModelConfig,
  tokens: number,
  pool: Pool,
  label: string,
  formats: Formats,
): Region[] {
  const layerBytes = (tokens * cacheBytesPerToken(config, formats)) / config.numLayers;
  return Array.from({ length: config.numLayers }, () => pool.place(label, layerBytes));
}

/** Layouts never change, and a planner asks for those of the same model hundreds of times. */
const layoutsOf = new WeakMap<Checkpoint, WeakMap<Formats, ReadonlyMap<string, GroupLayout>>>();

function layOutGroups(checkpoint: Checkpoint, formats: Formats): ReadonlyMap<string, GroupLayout> {
  const byFormats = layoutsOf.get(checkpoint) ?? new WeakMap<Formats, ReadonlyMap<string, GroupLayout>>();
  layoutsOf.set(checkpoint, byFormats);
  const known = byFormats.get(formats);
  if (known) return known;
  const groups = [checkpoint.embedding, checkpoint.head];
  for (const { attention, experts } of checkpoint.layers) groups.push(attention, ...experts);
  const layouts = new Map(groups.map((group) => [group.id, layOutGroup(group, formats)]));
  byFormats.set(formats, layouts);
  return layouts;
}

function groupLayout(layouts: ReadonlyMap<string, GroupLayout>, group: WeightGroup): GroupLayout {
  return layouts.get(group.id) as GroupLayout;
}

/** Keys and values of one token in all layers. */
export function cacheBytesPerToken(config: ModelConfig, { cacheElementBytes }: Formats): number {
  return config.numLayers * 2 * config.numKvHeads * config.headDim * cacheElementBytes;
}

/**
 * `count` of the layers at even distances. Resident layers in one block would leave the disk lane idle while they
 * are computed, since it only reads prefetchDepth groups ahead.
 */
function spreadEvenly(count: number, layers: readonly number[]): ReadonlySet<number> {
  if (count > layers.length)
    throw new UserError(`invalid number of resident layers: ${count}; expected at most ${layers.length}`);
  return new Set(
    Array.from({ length: count }, (_, i) => layers[Math.floor(((i + 0.5) * layers.length) / count)]),
  );
}

/**
 * Tokens a sequence's KV block has room for; a few to spare, so that the next block starts on a cache line. The last
 * new token is never fed, and candidates beyond a sequence's limit are never proposed, so no more are needed.
 */
export function cacheCapacity(promptTokens: number, maxNewTokens: number): number {
  return alignUp(promptTokens + maxNewTokens, 4);
}
