/**
 * A model as data: what each layer computes and where each tensor lies. A family (`families/`) makes it from
 * config.json; the reference pass, the device's graphs, the task graph, sizes and costs are derived from it.
 */

import type { WeightDtype } from '@specoffload/native';
import type { TensorRole } from './types.js';

export interface ModelSpec {
  /** The family's name, `model_type` in config.json. */
  readonly architecture: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly embedding: {
    /** What embeddings are multiplied with. */
    readonly scale: number;
    /** The output projection is the embedding. */
    readonly tied: boolean;
  };
  /** In order; equal layers are one object. */
  readonly layers: readonly LayerSpec[];
  readonly finalNorm: NormSpec;
  /** Context length in tokens. */
  readonly maxPositions: number;
  /** Generation ends at any of these; may be empty. */
  readonly eosTokenIds: readonly number[];
  readonly tensors: TensorPlaces;
  /** How the names of tensors begin that belong to other parts of the checkpoint and are not read. */
  readonly foreignTensors?: readonly string[];
}

export interface LayerSpec {
  readonly attention: AttentionSpec;
  readonly norms: {
    readonly beforeAttention: NormSpec;
    /** Of what attention adds to the hidden state. */
    readonly afterAttention: NormSpec | null;
    readonly beforeFfn: NormSpec;
    readonly afterFfn: NormSpec | null;
  };
  readonly ffn: FfnSpec;
}

/** RMS norm: x / sqrt(mean(x²) + eps) * (offset + weight). */
export interface NormSpec {
  readonly eps: number;
  /** 1 in Gemma, whose weights are stored less 1. */
  readonly offset: 0 | 1;
}

export interface AttentionSpec {
  readonly numHeads: number;
  /** Divides numHeads. */
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly rope: RopeSpec;
  /** Keys a query sees, itself included; null for all. */
  readonly window: number | null;
  /** What scores are multiplied with before the softmax. */
  readonly scale: number;
  readonly biases: Readonly<Record<'q' | 'k' | 'v' | 'o', boolean>>;
  /** Norms of q and k before they are rotated: of each head by itself, or of all heads together. */
  readonly qkNorm: { readonly over: 'head' | 'projection'; readonly norm: NormSpec } | null;
  /**
   * Queries, keys and values are brought to between -clip and clip, after norms, before they are rotated. Left out where
   * they are not, since digests are made of what stands here.
   */
  readonly clip?: number;
  /** A learned score per head that takes part in the softmax and has no value. */
  readonly sinks: boolean;
}

/** Rotary positions in the rotate-half convention: channel i is paired with i + headDim / 2. */
export interface RopeSpec {
  readonly theta: number;
  readonly scaling: RopeScaling | null;
}

export type RopeScaling =
  | Llama3RopeScaling
  | YarnRopeScaling
  | LinearRopeScaling
  | DynamicRopeScaling
  | LongRopeScaling;

/** Llama 3 (`rope_type: "llama3"`). */
export interface Llama3RopeScaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

/** YaRN (`rope_type: "yarn"`). */
export interface YarnRopeScaling {
  readonly type: 'yarn';
  readonly factor: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  readonly originalMaxPositions: number;
  readonly truncate: boolean;
  /** What cos and sin are multiplied with. */
  readonly attentionFactor: number;
}

/** All frequencies divided by a factor (`rope_type: "linear"`). */
export interface LinearRopeScaling {
  readonly type: 'linear';
  readonly factor: number;
}

/**
 * A base that grows with texts longer than the original ones (`rope_type: "dynamic"`). The reference follows it; runs refuse
 * such texts, whose cached keys would have to be rotated again with every token.
 */
export interface DynamicRopeScaling {
  readonly type: 'dynamic';
  readonly factor: number;
  /** The context, which a run does not exceed. */
  readonly originalMaxPositions: number;
}

/**
 * Factors of their own for every channel, others for texts longer than the original ones (`rope_type: "longrope"`). All
 * texts of a run have to be on one side of that length, from their prompts to their ends.
 */
export interface LongRopeScaling {
  readonly type: 'longrope';
  readonly shortFactors: readonly number[]; // (headDim / 2)
  readonly longFactors: readonly number[]; // (headDim / 2)
  readonly originalMaxPositions: number;
  /** What cos and sin are multiplied with. */
  readonly attentionFactor: number;
}

/**
 * What becomes of gate · x and up · x before down: silu(gate) * up, gelu(gate) * up with tanh in the place of the error
 * function, or gate * sigmoid(alpha gate) * (up + 1) with gate at most `limit` and up within it.
 */
export type Activation = 'silu' | 'gelu-tanh' | 'clamped-swiglu';

/** Of `GptOssExperts` in transformers, where they are not configured. */
export const clampedSwiglu = { limit: 7, alpha: 1.702 } as const;

/** down · activate(gate · x, up · x), once, or in each of the experts that a token is sent to. */
export interface FfnSpec {
  /** 1 for a dense FFN. */
  readonly numExperts: number;
  /** Experts that each token passes through; 1 for a dense FFN. */
  readonly expertsPerToken: number;
  /** Of the FFN or of one expert. */
  readonly width: number;
  readonly activation: Activation;
  readonly biases: boolean;
  /** null for a dense FFN. */
  readonly router: RouterSpec | null;
  /** Width of an expert that every token passes through besides, times sigmoid(sharedRouter · x); null for none. */
  readonly sharedWidth: number | null;
}

export interface RouterSpec {
  /**
   * What the outputs of the chosen experts are multiplied with: their softmax over all experts, made to sum to one or
   * as it is.
   */
  readonly weights: 'renormalised' | 'as-is';
  readonly biases: boolean;
}

/** Where the tensor of each role lies. */
export type TensorPlaces = Readonly<Partial<Record<TensorRole, TensorPlace>>>;

export interface TensorPlace {
  /** In the files; `{layer}` and `{expert}` stand for their zero-based numbers. */
  readonly name: string;
  /** Its name in a layer without a router, where that is another. */
  readonly dense?: string;
  /** What of the stored tensor it is; all of it where there is none. */
  readonly slice?: TensorSlice;
  /** How the configuration says it is stored, where that is another way than the rest. */
  readonly codec?: WeightDtype;
}

/** Part of a stored tensor. */
export interface TensorSlice {
  /** The stored tensor holds all experts one behind the other. */
  readonly isStackOfExperts: boolean;
  /** Of its rows, every `step`-th from `first` on: gate and up may lie interleaved, or one behind the other. */
  readonly rows?: {
    readonly first: number;
    readonly step: number;
    readonly count: number;
    /** All rows that are stored together, where those behind ours are no step of theirs. */
    readonly total?: number;
  };
  /** Stored as (in, out), unless in blocks, which always run along what goes in. */
  readonly isTransposed: boolean;
  /** Rows of each head are stored in llama.cpp's order: the channels that RoPE turns together are neighbours. */
  readonly isPaired?: boolean;
}

/** Layers by number, equal ones as one object. */
export function createLayers(numLayers: number, layerAt: (layer: number) => LayerSpec): LayerSpec[] {
  const known = new Map<string, LayerSpec>();
  return Array.from({ length: numLayers }, (_, layer) => {
    const spec = layerAt(layer);
    const key = JSON.stringify(spec);
    const equal = known.get(key) ?? spec;
    known.set(key, equal);
    return equal;
  });
}

/** Elements of one row of q, and of k or v. */
export function queryWidth({ numHeads, headDim }: AttentionSpec): number {
  return numHeads * headDim;
}

export function keyWidth({ numKvHeads, headDim }: AttentionSpec): number {
  return numKvHeads * headDim;
}

/** Elements of q, k and v, with which a row of hidden state is multiplied before attention. */
export function projectionElements({ hiddenSize }: ModelSpec, { attention }: LayerSpec): number {
  return hiddenSize * (queryWidth(attention) + 2 * keyWidth(attention));
}

/** Elements of the output projection, the router and a shared expert, after attention; a dense FFN counts as one routed expert. */
export function outputElements({ hiddenSize }: ModelSpec, { attention, ffn }: LayerSpec): number {
  const shared = ffn.sharedWidth === null ? 0 : 3 * ffn.sharedWidth + 1;
  return hiddenSize * (queryWidth(attention) + ffn.numExperts + shared);
}

/** Elements of gate, up and down. */
export function expertElements({ hiddenSize }: ModelSpec, { ffn }: LayerSpec): number {
  return 3 * hiddenSize * ffn.width;
}

/** Heads of queries, and of keys and values: of one layer where all are alike, else of all together. */
export function countHeads({ layers }: ModelSpec): Pick<AttentionSpec, 'numHeads' | 'numKvHeads'> {
  const { attention: first } = layers[0];
  const isAlike = ({ attention }: LayerSpec) =>
    attention.numHeads === first.numHeads && attention.numKvHeads === first.numKvHeads;
  if (layers.every(isAlike)) return { numHeads: first.numHeads, numKvHeads: first.numKvHeads };
  const sum = (field: 'numHeads' | 'numKvHeads') =>
    layers.reduce((total, { attention }) => total + attention[field], 0);
  return { numHeads: sum('numHeads'), numKvHeads: sum('numKvHeads') };
}
