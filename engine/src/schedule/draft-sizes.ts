/** What steps of a draft model cost. */

import { crossbarMemory } from '../machine/crossbars.js';
import { activationBytes } from '../machine/formats.js';
import type { Checkpoint } from '../model/types.js';
import type { LaneName, Routes } from '../topology/topology.js';
import {
  chosenExperts,
  type LayerCosts,
  modelCosts,
  movesRows,
  type OpenWork,
  scoreFlops,
} from './layer-costs.js';
import type { ModelPlacement } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';

/** What a step of a draft costs, per step, token or score. */
export interface DraftSizes {
  /** Weights that every row is multiplied with: all but experts that it does not choose, and the embedding. */
  readonly elements: number;
  /** Of those that every step reads, in device memory. */
  readonly bytes: number;
  readonly kinds: readonly DraftKind[];
}

/** Layers that are alike, together. */
interface DraftKind {
  readonly window: number;
  /** Keys and values of one token. */
  readonly cacheBytes: number;
  /** Per pair of a new token and a key it sees. */
  readonly scoreFlops: number;
  /** Where rows choose among several; a step reads those that some row chooses. */
  readonly experts: { readonly costs: LayerCosts; readonly bytesOfEach: number } | null;
}

/** Fills in the products of some steps on `rows` rows in all. Mutates `work`. */
export function computesDraft(work: OpenWork, sizes: DraftSizes, rows: number, numSteps: number): void {
  work.numParts = numSteps;
  work.productRows = rows / numSteps;
  work.bytes = numSteps * sizes.bytes;
  for (const { experts } of sizes.kinds)
    if (experts)
      work.bytes += numSteps * experts.bytesOfEach * chosenExperts(experts.costs, work.productRows);
  work.flops = 2 * rows * sizes.elements;
}

/** One row through matrix after matrix: q, k and v at once, the output, gate and up, down; and the head. */
export function multipliesInCrossbars(
  work: OpenWork,
  { checkpoint: { spec }, formats }: ModelPlacement,
): void {
  const numProducts = 4 * spec.layers.length + 1;
  work.numParts = work.rows * numProducts;
  movesRows(
    work,
    activationBytes(formats, numProducts * spec.hiddenSize),
    activationBytes(formats, spec.vocabSize),
  );
}

export function laneOfDraft(routes: Routes, { crossbars }: Pick<OpenPolicy, 'crossbars'>): LaneName {
  return crossbars === 'draft' ? routes.computing('draft', crossbarMemory) : routes.drafting.lane;
}

/** Adds attention in the layers of a kind. Mutates `work`. */
export function scoresDraft(work: OpenWork, kind: DraftKind, cacheTokens: number, scores: number): void {
  work.cacheBytes += cacheTokens * kind.cacheBytes;
  work.scoreFlops += scores * kind.scoreFlops;
}

export function draftSizes(placement: ModelPlacement): DraftSizes {
  const { checkpoint, layouts } = placement;
  const { kinds } = modelCosts(placement);
  let bytes = 0;
  let elements = multipliedElements(checkpoint);
  for (const { group, deviceBytes } of layouts.values()) if (group.kind !== 'embedding') bytes += deviceBytes;
  for (const { costs, numLayers } of kinds) {
    if (costs.numExperts === 1) continue;
    bytes -= costs.numExperts * bytesOfExpert(costs, numLayers);
    elements -= (costs.numExperts - costs.expertsPerToken) * costs.expertElements * numLayers;
  }
  return {
    ...{ bytes, elements },
    kinds: kinds.map(({ costs, numLayers }) => ({
      window: costs.window,
      cacheBytes: costs.cacheBytesPerToken * numLayers,
      scoreFlops: scoreFlops(costs.attention, numLayers),
      experts: costs.numExperts > 1 ? { costs, bytesOfEach: bytesOfExpert(costs, numLayers) } : null,
    })),
  };
}

/** In device memory, in all layers of a kind. */
function bytesOfExpert({ expertElements, weightBytes }: LayerCosts, numLayers: number): number {
  return expertElements * weightBytes * numLayers;
}

/** Weights that a token is multiplied with: all but an embedding that is only looked up. */
export function multipliedElements({ parameters, spec }: Checkpoint): number {
  return parameters - (spec.embedding.tied ? 0 : spec.vocabSize * spec.hiddenSize);
}
