/** A model on disk: its tensors, and the groups of weights that move together. */

import type { MatrixLayout, PlacedScales, WeightDtype } from '@specoffload/native';
import type { ModelSpec } from './spec.js';
import type { TargetFormat } from './target-format.js';

/** One tensor of a checkpoint's files, or a part of one, validated. */
export interface TensorRef {
  readonly name: string;
  readonly path: string;
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  /** Absolute byte offset in the file of its first value. */
  readonly fileOffset: number;
  /** Stored bytes that are its own, scales included. */
  readonly byteLength: number;
  readonly numElements: number;
  /** How its values lie, unless one row behind the other. */
  readonly layout?: TensorLayout;
}

/** As in the native `MatrixLayout`; scales may lie in another file. */
export interface TensorLayout extends Omit<MatrixLayout, 'scales'> {
  readonly scales: StoredScales | null;
}

/** Zero points and groups of columns may lie in others again. */
export type StoredScales = PlacedScales<{ readonly path: string; readonly fileOffset: number }>;

/** What a tensor does in its group. Shapes follow Hugging Face: a projection is (out, in). */
export type TensorRole =
  | 'inputNorm' // (hidden)
  | 'q' // (heads * headDim, hidden)
  | 'k' // (kvHeads * headDim, hidden)
  | 'v' // (kvHeads * headDim, hidden)
  | 'o' // (hidden, heads * headDim)
  | 'qBias' // (heads * headDim)
  | 'kBias' // (kvHeads * headDim)
  | 'vBias' // (kvHeads * headDim)
  | 'oBias' // (hidden)
  | 'qNorm' // (headDim)
  | 'kNorm' // (headDim)
  | 'sinks' // (heads)
  | 'afterAttentionNorm' // (hidden), of what attention adds
  | 'postNorm' // (hidden), before the FFN
  | 'router' // (experts, hidden)
  | 'routerBias' // (experts)
  | 'sharedGate' // (sharedWidth, hidden): gate, up and down of the expert that every token passes through
  | 'sharedUp' // (sharedWidth, hidden)
  | 'sharedDown' // (hidden, sharedWidth)
  | 'sharedRouter' // (1, hidden)
  | 'gate' // (ffn, hidden): w1 of an expert, gate_proj of a dense FFN
  | 'up' // (ffn, hidden): w3, up_proj
  | 'down' // (hidden, ffn): w2, down_proj
  | 'gateBias' // (ffn)
  | 'upBias' // (ffn)
  | 'downBias' // (hidden)
  | 'afterFfnNorm' // (hidden), of what a dense FFN adds
  | 'embedding' // (vocab, hidden)
  | 'finalNorm' // (hidden)
  | 'head'; // (vocab, hidden); the embedding's tensor when tied

/**
 * Weights that are loaded, placed and freed together. `attention` holds what every token needs of a layer: both
 * norms, the projections, the router and a shared expert; `expert` one expert (a dense FFN is expert 0 of 1); `embedding` and `head` (final norm and output
 * projection) are resident.
 */
export type GroupKind = 'attention' | 'expert' | 'embedding' | 'head';

export interface WeightGroup {
  /** `layer.3.attention`, `layer.3.expert.5`, `embedding`, `head`. */
  readonly id: string;
  readonly kind: GroupKind;
  /** Zero-based; -1 for embedding and head. */
  readonly layer: number;
  /** Zero-based; -1 unless kind is `expert`. */
  readonly expert: number;
  readonly tensors: readonly { readonly role: TensorRole; readonly ref: TensorRef }[];
  /** Bytes on disk. */
  readonly storedBytes: number;
  /** Bytes widened to fp32, as the device holds them. */
  readonly deviceBytes: number;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** Tokens it can produce; at most the model's vocabulary. */
  readonly vocabSize: number;
  /** Digest of the vocabulary: equal for two tokenizers exactly when every id means the same text. */
  readonly digest: string;
  /** @param addsSpecial whether to add what the post-processor adds, such as a token for the beginning. @default true */
  encode(text: string, addsSpecial?: boolean): number[];
  decode(ids: readonly number[]): string;
}

/** A checkpoint directory whose configuration, headers and index have been read and found consistent. */
export interface Checkpoint {
  readonly directory: string;
  /** The directory's name. */
  readonly name: string;
  readonly spec: ModelSpec;
  readonly tensors: ReadonlyMap<string, TensorRef>;
  readonly embedding: WeightGroup;
  readonly head: WeightGroup;
  /** Per layer: its attention group and its experts. */
  readonly layers: readonly { readonly attention: WeightGroup; readonly experts: readonly WeightGroup[] }[];
  readonly parameters: number;
  /** Bytes of all tensors as stored. */
  readonly bytes: number;
  /** How matrices are imagined to be stored, where that is another way than their own. */
  readonly format?: TargetFormat;
  /** Digest of the checkpoint in bf16 whose weights these are, packed: both write the same tokens. */
  readonly packedFrom?: string;
  /**
   * sha256, hex, over the configuration, all tensor headers, file sizes and 64 blocks of 4 KiB at even distances
   * through each file: reading 100 GB to name a model would defeat the purpose.
   */
  readonly digest: string;
}
