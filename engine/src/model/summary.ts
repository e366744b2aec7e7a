/**
 * A model in a few numbers, for people and for digests. Records name models by digests of what stands here, so a model
 * that these numbers tell apart from no other must go on having the same fields in the same order.
 */

import { isDeepStrictEqual } from 'node:util';
import type { LayerSpec, ModelSpec, RopeScaling } from './spec.js';

/** Of the first layer with experts, or the first of all, where layers differ. */
export interface ModelSummary {
  readonly architecture: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Width of one FFN (dense) or of one expert. */
  readonly ffnSize: number;
  /** 1 for dense models. */
  readonly numExperts: number;
  /** Experts that each token passes through; 1 for dense models. */
  readonly expertsPerToken: number;
  /** Keys a query sees, itself included; null for all. */
  readonly slidingWindow: number | null;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  readonly rmsNormEps: number;
  readonly tieEmbeddings: boolean;
  /** Context length in tokens. */
  readonly maxPositions: number;
  readonly eosTokenIds: readonly number[];
}

export function summarise(spec: ModelSpec): ModelSummary {
  const { architecture, vocabSize, hiddenSize, layers, maxPositions, eosTokenIds } = spec;
  const { attention, ffn } = layers.find((layer) => layer.ffn.router !== null) ?? layers[0];
  const { numHeads, numKvHeads, headDim, window, rope } = attention;
  return {
    ...{ architecture, vocabSize, hiddenSize, numLayers: layers.length, numHeads, numKvHeads, headDim },
    ...{ ffnSize: ffn.width, numExperts: ffn.numExperts, expertsPerToken: ffn.expertsPerToken },
    ...{ slidingWindow: window, ropeTheta: rope.theta, ropeScaling: rope.scaling },
    ...{ rmsNormEps: spec.finalNorm.eps, tieEmbeddings: spec.embedding.tied, maxPositions, eosTokenIds },
  };
}

/** What a digest is made of: the summary, and the layers themselves where it does not say all of them. */
export function identityOf(spec: ModelSpec): object {
  const summary = summarise(spec);
  return spec.layers.every((layer) => isSummed(layer, summary)) && spec.embedding.scale === 1
    ? summary
    : { ...summary, embedding: spec.embedding, layers: spec.layers };
}

/** Whether the summary, and that it is a decoder in Llama's manner, say all of a layer. */
function isSummed({ attention, norms, ffn }: LayerSpec, summary: ModelSummary): boolean {
  const { numHeads, numKvHeads, headDim, rope, window, scale, biases, qkNorm, clip, sinks } = attention;
  const { beforeAttention, beforeFfn, afterAttention, afterFfn } = norms;
  return (
    numHeads === summary.numHeads &&
    numKvHeads === summary.numKvHeads &&
    headDim === summary.headDim &&
    window === summary.slidingWindow &&
    isDeepStrictEqual(rope, { theta: summary.ropeTheta, scaling: summary.ropeScaling }) &&
    scale === headDim ** -0.5 &&
    !Object.values(biases).includes(true) &&
    qkNorm === null &&
    clip === undefined &&
    !sinks &&
    [beforeAttention, beforeFfn].every(({ eps, offset }) => eps === summary.rmsNormEps && offset === 0) &&
    afterAttention === null &&
    afterFfn === null &&
    ffn.width === summary.ffnSize &&
    ffn.numExperts === summary.numExperts &&
    ffn.activation === 'silu' &&
    !ffn.biases &&
    ffn.sharedWidth === null &&
    (ffn.router === null || (ffn.router.weights === 'renormalised' && !ffn.router.biases))
  );
}
