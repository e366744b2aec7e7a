/**
 * Where everything lives: a complete memory plan for both pools, made and checked against the budgets before the
 * first byte moves. What is left over keeps layers: device memory first (pinned), then host memory (kept).
 */

import { directIoAlignmentBytes } from '@specoffload/native';
import { type PoolLayout as Pool, PoolLayout, type Region } from '../machine/pool.js';
import { type Checkpoint, type ModelConfig, UserError, type WeightGroup } from '../model/types.js';
import { alignUp, type GroupLayout, layOutGroup } from './group-layout.js';
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

/** One model's share of both pools. */
export interface ModelPlacement {
  readonly checkpoint: Checkpoint;
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
  /** Per layer: the sequences' blocks; in host memory for the target, in device memory for the draft. */
  readonly kvCache: readonly Region[];
  readonly ropeCos: Region;
  readonly ropeSin: Region;
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
  readonly prefetchDepth: number;
  readonly pinnedLayers: number;
  readonly keptLayers: number;
}

/** What the run will ask of memory. */
export interface MemoryDemand {
  /** Rows of each micro-batch that is in flight at the same time, at their largest. */
  readonly targetFrameRows: readonly number[];
  readonly draftRows: number;
  /** Tokens of all KV blocks alive at the same time. */
  readonly targetCacheTokens: number;
  readonly draftCacheTokens: number;
  /** Longest sequence, for the rotation tables. */
  readonly numPositions: number;
}

export interface Budgets {
  readonly deviceBytes: number;
  readonly hostBytes: number;
}

/** Policy fields that the caller may fix; null leaves them to what fits. */
export interface OpenChoices {
  readonly prefetchDepth: number | null;
  readonly pinnedLayers: number | null;
  readonly keptLayers: number | null;
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
  choice: OpenChoices,
): MemoryPlan {
  const layOut = (prefetchDepth: number, pinnedLayers: number, keptLayers: number) =>
    layOutPools(target, draft, prefetchDepth, demand, pinnedLayers, keptLayers);
  const { numLayers } = target.config;
  const pinnedWish = Math.min(choice.pinnedLayers ?? 0, numLayers);
  const keptWish = Math.min(choice.keptLayers ?? 0, numLayers - pinnedWish);
  const prefetchDepth =
    choice.prefetchDepth ?? deepestAffordable((depth) => layOut(depth, pinnedWish, keptWish), budgets);
  assertFits(layOut(prefetchDepth, pinnedWish, keptWish), budgets, layOut(1, 0, 0));

  const pinnedLayers =
    choice.pinnedLayers === null
      ? mostThatFit(numLayers, (n) => layOut(prefetchDepth, n, 0).device, budgets.deviceBytes)
      : pinnedWish;
  const keptLayers =
    choice.keptLayers === null
      ? mostThatFit(
          numLayers - pinnedLayers,
          (n) => layOut(prefetchDepth, pinnedLayers, n).host,
          budgets.hostBytes,
        )
      : Math.min(keptWish, numLayers - pinnedLayers);
  return layOut(prefetchDepth, pinnedLayers, keptLayers);
}

/**
 * How far to read ahead where nobody has said: up to 8 groups, as long as the buffers take no more than a third of
 * either budget. More smooths the lanes' unequal steps, but leaves less room for layers that stay: on the main job 8
 * took 12 % off serial's decode time against 4, and 16 gained nothing more.
 */
function deepestAffordable(layOut: (depth: number) => MemoryPlan, budgets: Budgets): number {
  for (let depth = 8; depth > 1; depth -= 1) {
    const plan = layOut(depth);
    const isAffordable = (['device', 'host'] as const).every((pool) => {
      const budgetBytes = budgets[`${pool}Bytes`];
      const [, bufferBytes = 0] = plan[pool].byLabel.find(([label]) => label === bufferLabel(pool)) ?? [];
      return plan[pool].totalBytes <= budgetBytes && bufferBytes <= budgetBytes / 3;
    });
    if (isAffordable) return depth;
  }
  return 1;
}

function bufferLabel(pool: Pool['name']): string {
  return `${pool} weight buffers`;
}

function assertFits(plan: MemoryPlan, budgets: Budgets, smallest: MemoryPlan): void {
  for (const pool of ['device', 'host'] as const) {
    const least = smallest[pool].totalBytes;
    const remedy =
      least <= budgets[`${pool}Bytes`]
        ? `lower prefetchDepth, pinnedLayers or keptLayers: the smallest budget for these batches is ${Math.ceil(least / 2 ** 20)} MiB`
        : `raise it to at least ${Math.ceil(least / 2 ** 20)} MiB (with prefetchDepth 1), or use smaller batches`;
    plan[pool].assertFits(budgets[`${pool}Bytes`], remedy);
  }
}

/** The largest n up to `most` whose pool stays within the budget; pools grow with n. */
function mostThatFit(most: number, poolFor: (n: number) => Pool, budgetBytes: number): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (poolFor(middle).totalBytes <= budgetBytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

function layOutPools(
  target: Checkpoint,
  draft: Checkpoint | null,
  prefetchDepth: number,
  demand: MemoryDemand,
  pinnedLayers: number,
  keptLayers: number,
): MemoryPlan {
  const host = new PoolLayout('host');
  const device = new PoolLayout('device');
  const layouts = layOutGroups(target);
  const pinnedSet = spreadEvenly(
    pinnedLayers,
    target.layers.map((_, layer) => layer),
  );
  const rest = target.layers.map((_, layer) => layer).filter((layer) => !pinnedSet.has(layer));
  const keptSet = spreadEvenly(keptLayers, rest);

  const slotsFor = (pool: Pool, count: number, bytesOf: (layout: GroupLayout) => number) => {
    const slots = (kind: 'attention' | 'expert'): Slots => {
      const sizes = [...layouts.values()].filter(({ group }) => group.kind === kind).map(bytesOf);
      const slotBytes = Math.max(...sizes);
      return {
        slotClass: { name: `${pool.name}.${kind}`, count },
        regions: Array.from({ length: count }, () => pool.place(bufferLabel(pool.name), slotBytes)),
      };
    };
    return { attention: slots('attention'), expert: slots('expert') };
  };
  const hostSlots = slotsFor(host, prefetchDepth, ({ stagedBytes }) =>
    Math.max(stagedBytes, smallestStagingBytes),
  );
  // One more than waits: the group that is being computed with.
  const deviceSlots = slotsFor(device, prefetchDepth + 1, ({ deviceBytes }) => deviceBytes);

  const targetPlacement: ModelPlacement = {
    ...placeModel(target, layouts, host, device, 'target'),
    pinned: placeLayers(target, pinnedSet, (group) =>
      device.place('pinned layers', groupLayout(layouts, group).deviceBytes),
    ),
    kept: placeLayers(target, keptSet, (group) =>
      host.place('kept layers', groupLayout(layouts, group).stagedBytes),
    ),
    frames: demand.targetFrameRows.map((rows) => placeFrame(target.config, rows, device, host)),
    scratch: placeScratch(target.config, Math.max(...demand.targetFrameRows), device),
    kvCache: placeCache(target.config, demand.targetCacheTokens, host, 'KV cache'),
    ...placeRope(target.config, demand.numPositions, host),
  };
  return {
    ...{ host, device, hostSlots, deviceSlots, prefetchDepth, pinnedLayers, keptLayers },
    target: targetPlacement,
    draft: draft ? placeDraft(draft, demand, host, device) : null,
  };
}

/** The draft lives on the device: weights, KV cache and activations. */
function placeDraft(draft: Checkpoint, demand: MemoryDemand, host: Pool, device: Pool): ModelPlacement {
  const layouts = layOutGroups(draft);
  const allLayers = new Set(draft.layers.keys());
  return {
    ...placeModel(draft, layouts, host, device, 'draft'),
    pinned: placeLayers(draft, allLayers, (group) =>
      device.place('draft weights', groupLayout(layouts, group).deviceBytes),
    ),
    kept: new Map(),
    frames: [placeFrame(draft.config, demand.draftRows, device, null)],
    scratch: placeScratch(draft.config, demand.draftRows, device),
    kvCache: placeCache(draft.config, demand.draftCacheTokens, device, 'draft KV cache'),
    ...placeRope(draft.config, demand.numPositions, device),
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

function placeFrame(config: ModelConfig, rows: number, device: Pool, host: Pool | null): FrameRegions {
  const hiddenBytes = rows * config.hiddenSize * 4;
  const queryBytes = rows * config.numHeads * config.headDim * 4;
  const keyBytes = rows * config.numKvHeads * config.headDim * 4;
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

function placeScratch(config: ModelConfig, rows: number, device: Pool): ScratchRegions {
  const floats = (count: number) => device.place('scratch', count * 4);
  const { hiddenSize, numHeads, numKvHeads, headDim, ffnSize, vocabSize, numExperts } = config;
  // The provider allocates the products inside an FFN itself: gate, its sigmoid, and up, each (row, ffn).
  device.reserve('provider workspace', 3 * Math.min(rows, ffnChunkRows) * ffnSize * 4);
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

function placeRope(config: ModelConfig, numPositions: number, pool: Pool) {
  const bytes = (numPositions * config.headDim * 4) / 2;
  return {
    ropeCos: pool.place('rotation tables', bytes),
    ropeSin: pool.place('rotation tables', bytes),
    numPositions,
  };
}

function placeCache(config: ModelConfig, tokens: number, pool: Pool, label: string): Region[] {
  const layerBytes = (tokens * cacheBytesPerToken(config)) / config.numLayers;
  return Array.from({ length: config.numLayers }, () => pool.place(label, layerBytes));
}

function layOutGroups(checkpoint: Checkpoint): Map<string, GroupLayout> {
  const groups = [checkpoint.embedding, checkpoint.head];
  for (const { attention, experts } of checkpoint.layers) groups.push(attention, ...experts);
  return new Map(groups.map((group) => [group.id, layOutGroup(group)]));
}

function groupLayout(layouts: ReadonlyMap<string, GroupLayout>, group: WeightGroup): GroupLayout {
  return layouts.get(group.id) as GroupLayout;
}

/** Keys and values of one token in all layers, fp32 bytes. */
export function cacheBytesPerToken(config: ModelConfig): number {
  return config.numLayers * 2 * config.numKvHeads * config.headDim * 4;
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
