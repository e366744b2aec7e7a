/** What a memory plan says: where every weight, cache, activation and buffer of a run lies, memory by memory. */

import type { Granularity } from '../machine/budgets.js';
import type { Formats } from '../machine/formats.js';
import type { PoolLayout, Region } from '../machine/pool.js';
import type { Checkpoint, WeightGroup } from '../model/types.js';
import type { ByMemory, MemoryName, Routes } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import type { InCrossbars } from './crossbars.js';
import type { ResidentTarget } from './drafter.js';
import type { GroupLayout } from './group-layout.js';
import type { OpenChoices, OpenPolicy } from './policy.js';
import type { ResidentTensors } from './resident-tensors.js';
import type { RouterCopies } from './router-copies.js';
import type { SlotClass } from './task.js';

/** Rows that one call of an FFN or of the head takes; longer inputs go in pieces, so scratch memory is bounded. */
export const ffnChunkRows = 256;
export const headChunkRows = 64;

/** Activations of the sequences that go through a layer together. */
export interface FrameRegions {
  /** Device: two hidden-state buffers (row, hidden) that layers alternate between, and the normed rows. */
  readonly hidden: readonly [Region, Region];
  readonly normed: Region;
  /** Device: which rows chose which expert, see `RouteCommand`; null where there is no choice or memory is only imagined. */
  readonly routes: Region | null;
  /** Host (absent for a model whose attention runs on the device): q and out (row, head, headDim), k and v. */
  readonly host: { readonly q: Region; readonly k: Region; readonly v: Region; readonly out: Region } | null;
  /** Host (null unless the host computes experts): the normed rows, and the output of the rows that chose an expert. */
  readonly hostExperts: { readonly normed: Region; readonly out: Region } | null;
  /** Host (null unless the host projects): hidden states before and after a layer's attention, normed rows, router scores. */
  readonly hostLayer: {
    readonly x: Region; // (row, hidden)
    readonly y: Region;
    readonly normed: Region;
    readonly router: Region; // (row, expert)
  } | null;
  /** Device, shared with the other frames of the phase. */
  readonly scratch: ScratchRegions;
}

/** Host buffers that live only while the host computes products. */
export interface HostScratchRegions {
  /** (ffnChunkRows, hidden); null unless it computes experts. */
  readonly gathered: Region | null;
  /** Weights as the arithmetic takes them; null where that is as they are stored. */
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

/** What streams. */
export const streamedKinds = ['attention', 'expert'] as const satisfies readonly WeightGroup['kind'][];

export type StreamedKind = (typeof streamedKinds)[number];

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

/** Every memory that something is planned in, laid out. */
export type Pools = ByMemory<PoolLayout>;

/** One model's share of the pools: of the host's, and of that of the memory that it computes on. */
export interface ModelPlacement {
  readonly checkpoint: Checkpoint;
  readonly formats: Formats;
  readonly layouts: ReadonlyMap<string, GroupLayout>;
  /** Embedding rows as stored, in host memory. */
  readonly embedding: Region;
  readonly head: Region;
  /** Groups that stay in device memory, or in crossbars, by id. */
  readonly pinned: ReadonlyMap<string, Region>;
  /** Groups that stay in host memory as stored, by id. */
  readonly kept: ReadonlyMap<string, Region>;
  readonly frames: readonly FrameRegions[];
  /** The first of decode's frames: 0, unless a draft that comes after prefill takes the place of prefill's. */
  readonly firstDecodeFrame: number;
  /** Null unless the host computes products. */
  readonly hostScratch: HostScratchRegions | null;
  /** Per layer: the sequences' blocks; the draft's are in device memory, the target's where its policy says. */
  readonly kvCache: readonly Region[];
  /** With split attention, per layer: the blocks of sequences that the device attends to. */
  readonly splitCache: readonly Region[] | null;
  /** Wherever attention is computed. */
  readonly rope: {
    readonly host: readonly RopeRegions[] | null;
    readonly device: readonly RopeRegions[] | null;
  };
  /** By layer, of those that have some: attention sinks in host memory, fp32; null where the host computes no attention. */
  readonly hostSinks: readonly (Region | null)[] | null;
  readonly numPositions: number;
  /** In host memory; null unless it is foreseen what routers will choose. */
  readonly routers: RouterCopies | null;
}

export interface MemoryPlan {
  readonly pools: Pools;
  readonly target: ModelPlacement;
  readonly draft: ModelPlacement | null;
  /** What crossbars hold; null where there is nothing in them. */
  readonly held: InCrossbars | null;
  /** Which lane does what. */
  readonly routes: Routes;
  /** By memory and group kind: where weights stop on their way, and where they land in device memory. */
  readonly slots: Readonly<Record<MemoryName, Readonly<Record<StreamedKind, Slots>>>>;
  /** Device buffers for one layer's part of a frame's KV cache, where it lives in host memory and is used on the device. */
  readonly cacheSlots: Slots | null;
  /** All but the slots, by phase: a draft that comes after prefill takes the place of prefill's activations. */
  readonly residentBytes: Readonly<Record<PhaseName, Readonly<Record<MemoryName, number>>>>;
  readonly prefetchDepth: number;
  readonly pinnedLayers: number;
  readonly keptLayers: number;
  readonly cachedOnDevice: number;
  readonly cachedOnHost: number;
}

/** What the run will ask of memory. */
export interface MemoryDemand {
  /** Rows of each micro-batch that is in flight at the same time, at their largest. */
  readonly targetFrameRows: readonly number[];
  /** The same in decode alone. */
  readonly decodeFrameRows: readonly number[];
  /** Tokens of all KV blocks alive at the same time, but for those of a split cache that are in device memory. */
  readonly targetCacheTokens: number;
  /** Of those. */
  readonly splitCacheTokens: number;
  /** Per wave: tokens of each sequence's KV block, most first. */
  readonly sequenceTokens: readonly (readonly number[])[];
  /** Tokens of the KV blocks of a frame whose attention is on the device, at most. */
  readonly frameCacheTokens: number;
  /** Longest sequence, for the rotation tables. */
  readonly numPositions: number;
}

/** Everything a layout is made from besides the open choices. */
export interface PlanRequest {
  readonly target: Checkpoint;
  /** Takes what the drafter needs from the pools; null where nobody proposes. */
  readonly placeDraft: ((pools: Pools, target: ResidentTarget) => ModelPlacement | null) | null;
  readonly demand: MemoryDemand;
  readonly policy: OpenPolicy;
  /** Whether the first and the last layer are the first to be pinned. */
  readonly pinsEnds: boolean;
  /** Layers from this one on lie in the page cache, where they stay in host memory. */
  readonly lockedLayers: number;
  readonly formats: Formats;
  readonly routes: Routes;
  /** Memories to be laid out. */
  readonly memories: readonly MemoryName[];
  readonly granularityBytes: Granularity;
  readonly layouts: ReadonlyMap<string, GroupLayout>;
  /** What a byte of the KV cache in device memory counts as, see `Budgets`. */
  readonly cacheFactor: number;
  /** Host memory that the device's queues take beside the pool. */
  readonly queueBytes: number;
  /** Beside whole layers. */
  readonly tensors: ResidentTensors;
  /** What crossbars hold; null where there is nothing in them. */
  readonly held: InCrossbars | null;
  /** Those of which anything is elsewhere. */
  readonly layers: readonly number[];
}

/** Something of every pool. */
export function mapPools<Value>({ pools }: MemoryPlan, pick: (pool: PoolLayout) => Value): ByMemory<Value> {
  const entries = Object.entries(pools).map(([name, pool]) => [name, pick(pool)]);
  return Object.fromEntries(entries) as ByMemory<Value>;
}

export type SettledChoices = { readonly [Field in keyof OpenChoices]: number };
