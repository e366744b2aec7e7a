/**
 * What the pieces of a forward pass cost: operations, bytes and rows of attention, FFN and head. The task graph and the
 * planner's closed form both ask here.
 */

import { activationBytes } from '../machine/formats.js';
import {
  type AttentionSpec,
  expertElements,
  type LayerSpec,
  type ModelSpec,
  outputElements,
  projectionElements,
} from '../model/spec.js';
import type { WeightGroup } from '../model/types.js';
import type { GroupLayout } from './group-layout.js';
import { layerCacheBytes } from './kv-cache.js';
import type { ModelPlacement } from './memory-plan.js';
import type { OpenTask } from './task.js';

/** A layer's sizes. Layers that are alike share one object: there are few kinds and many layers. */
export interface LayerCosts {
  /** Number of the kind, from 0. */
  readonly kind: number;
  readonly attention: AttentionSpec;
  /** Keys a query sees; infinity for all. */
  readonly window: number;
  readonly numExperts: number;
  readonly expertsPerToken: number;
  /** Elements of q, k and v, of the output projection with the router, and of one expert. */
  readonly projectionElements: number;
  readonly outputElements: number;
  readonly expertElements: number;
  /** More than 1 where a group holds several experts. */
  readonly expertsPerGroup: number;
  /** Of one weight in device memory. */
  readonly weightBytes: number;
  /** Keys and values of one token. */
  readonly cacheBytesPerToken: number;
}

export interface ModelCosts {
  /** By layer. */
  readonly layers: readonly LayerCosts[];
  /** By kind, each with the number of its layers. */
  readonly kinds: readonly { readonly costs: LayerCosts; readonly numLayers: number }[];
  /** One row of hidden state. */
  readonly hiddenBytes: number;
  readonly headElements: number;
  /** Of one weight of the head in device memory. */
  readonly headWeightBytes: number;
}

/** Costs never change, and a simulation asks for those of the same placement in every pass. */
const costsOf = new WeakMap<ReadonlyMap<string, GroupLayout>, ModelCosts>();

export function modelCosts(placement: ModelPlacement): ModelCosts {
  const { checkpoint, formats, layouts } = placement;
  const known = costsOf.get(layouts);
  if (known) return known;
  const { spec } = checkpoint;
  const kinds: { costs: LayerCosts; numLayers: number }[] = [];
  const kindOf = new Map<string, { costs: LayerCosts; numLayers: number }>();
  const layers = spec.layers.map((layer, index) => {
    const { experts } = checkpoint.layers[index];
    const costs = measureLayer(spec, layer, experts, placement, kinds.length);
    const key = JSON.stringify({ ...costs, kind: 0 });
    let kind = kindOf.get(key);
    if (!kind) {
      kind = { costs, numLayers: 0 };
      kindOf.set(key, kind);
      kinds.push(kind);
    }
    kind.numLayers += 1;
    return kind.costs;
  });
  const { hiddenSize, vocabSize } = spec;
  const costs = {
    layers,
    kinds,
    headElements: vocabSize * hiddenSize,
    hiddenBytes: activationBytes(formats, hiddenSize),
    headWeightBytes: headWeightBytes(layouts),
  };
  costsOf.set(layouts, costs);
  return costs;
}

/** Of one weight in device memory, as the head has them. */
function headWeightBytes(layouts: ModelPlacement['layouts']): number {
  const { deviceBytes, group } = layouts.get('head') as GroupLayout;
  return deviceBytes / group.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
}

function measureLayer(
  spec: ModelSpec,
  layer: LayerSpec,
  experts: readonly WeightGroup[],
  { formats, layouts }: ModelPlacement,
  kind: number,
): LayerCosts {
  const { attention, ffn } = layer;
  const elements = experts[0].tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
  const { numExperts, expertsPerToken } = ffn;
  return {
    kind,
    attention,
    numExperts,
    expertsPerToken,
    window: attention.window ?? Number.POSITIVE_INFINITY,
    projectionElements: projectionElements(spec, layer),
    outputElements: outputElements(spec, layer),
    expertElements: expertElements(spec, layer),
    expertsPerGroup: numExperts / experts.length,
    weightBytes: (layouts.get(experts[0].id) as GroupLayout).deviceBytes / elements,
    cacheBytesPerToken: layerCacheBytes(attention, formats),
  };
}

/** The part of a task that says what it costs. */
export type OpenWork = Pick<
  OpenTask,
  'rows' | 'productRows' | 'bytes' | 'flops' | 'scoreFlops' | 'cacheBytes' | 'linkBytes' | 'numParts'
>;

/** What attention asks of a frame's cache in one layer. */
export interface AttentionLoad {
  readonly scoreFlops: number;
  /** Of the cache, read. */
  readonly cacheBytes: number;
}

/** @param scores pairs of a new token and a key it sees */
export function scoreFlops({ numHeads, headDim }: AttentionSpec, scores: number): number {
  return 4 * scores * numHeads * headDim;
}

/** Each fills in what a task on `rows` rows costs. Mutates `work`. */
export function projects(work: OpenWork, costs: LayerCosts, rows: number): void {
  multiplies(work, costs.projectionElements, costs.weightBytes, rows);
}

export function mixes(work: OpenWork, costs: LayerCosts, rows: number): void {
  multiplies(work, costs.outputElements, costs.weightBytes, rows);
}

export function projectsAndMixes(work: OpenWork, costs: LayerCosts, rows: number): void {
  multiplies(work, costs.projectionElements + costs.outputElements, costs.weightBytes, rows);
}

export function scores(work: OpenWork, load: AttentionLoad): void {
  work.scoreFlops = load.scoreFlops;
  work.cacheBytes = load.cacheBytes;
}

/**
 * A share of one group of experts, for all rows that choose them on average; of a group that holds all of a layer, those
 * that are chosen.
 */
export function computesExperts(work: OpenWork, costs: LayerCosts, rows: number, share: number): void {
  const { expertElements: elements, weightBytes, expertsPerGroup, expertsPerToken, numExperts } = costs;
  const chosen = expertsPerGroup > 1 ? chosenExperts(costs, rows) / numExperts : 1;
  const numParts = expertsPerGroup * chosen;
  work.productRows = (rows * expertsPerToken) / numExperts / chosen;
  work.rows = work.productRows * numParts;
  work.numParts = numParts;
  work.bytes = share * elements * numParts * weightBytes;
  work.flops = share * 2 * work.rows * elements;
}

/** The same in crossbars: weights do not move, rows go in and out. */
export function movesRows(work: OpenWork, inBytes: number, outBytes = inBytes): void {
  work.bytes = work.rows * (inBytes + outBytes);
}

/** Experts of a layer have crossbars of their own: each counts for its part of what all take, side by side. */
export function worksSideBySide(work: OpenWork, costs: LayerCosts, rows: number): void {
  const { numExperts, expertsPerToken, expertsPerGroup } = costs;
  const atOnce = expertsPerGroup > 1 ? 1 : Math.min(numExperts, Math.max(1, rows * expertsPerToken));
  work.numParts = Math.max(1, work.productRows) / atOnce;
}

/** Products of more rows go through a matrix once more. */
const rowsPerReading = 64;

/** The same experts read in host memory instead, by the kernels that multiply with them. */
export function readsExpertsOverLink(
  work: OpenWork,
  { expertsPerGroup }: LayerCosts,
  storedBytes: number,
): void {
  readsOverLink(work, (storedBytes / expertsPerGroup) * work.numParts);
}

/** Of a layer's attention weights, what the projections before the scores have, and what those behind them. */
export function projectionShare({ projectionElements, outputElements }: LayerCosts): number {
  return projectionElements / (projectionElements + outputElements);
}

/** Weights are read in host memory instead. */
export function readsOverLink(work: OpenWork, storedBytes: number): void {
  work.linkBytes = Math.ceil(work.productRows / rowsPerReading) * storedBytes;
}

/** Up to so many are taken to be chosen all: the constants of the paper's machines were found with Mixtral that way. */
const fewExperts = 8;

/**
 * How many of a layer's experts are chosen by at least one of so many rows, if each row chooses by itself:
 * N (1 - (1 - k / N)^m).
 */
export function chosenExperts(
  { numExperts, expertsPerToken }: Pick<LayerCosts, 'numExperts' | 'expertsPerToken'>,
  rows: number,
): number {
  if (numExperts <= fewExperts) return numExperts;
  return numExperts * (1 - (1 - expertsPerToken / numExperts) ** rows);
}

export function choosesTokens(work: OpenWork, costs: ModelCosts, rows: number): void {
  work.rows = rows;
  work.productRows = rows;
  work.bytes = costs.headElements * costs.headWeightBytes;
  work.flops = 2 * rows * costs.headElements;
}

function multiplies(work: OpenWork, elements: number, weightBytes: number, rows: number): void {
  work.bytes = elements * weightBytes;
  work.flops = 2 * rows * elements;
}
