/** What a task asks of its lane: plain data that can cross to another thread, every buffer an offset into a pool. */

import type { WeightDtype } from '@specoffload/native';
import type { AttentionWeights, DeviceAddress, ExpertWeights, HostAddress } from '../machine/device.js';

/** One tensor's way across the link. */
export interface UploadPiece {
  readonly source: HostAddress;
  readonly dtype: WeightDtype;
  readonly count: number;
  readonly target: DeviceAddress;
}

export interface UploadOp {
  readonly kind: 'upload';
  readonly pieces: readonly UploadPiece[];
  /** Stored bytes, for pacing. */
  readonly bytes: number;
}

export interface EmbedOp {
  readonly kind: 'embed';
  readonly frame: number;
  readonly ids: Int32Array; // (row)
}

export interface ProjectOp {
  readonly kind: 'project';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  readonly weights: AttentionWeights;
}

export interface AttentionOp {
  readonly kind: 'attention';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  /** Offsets within the layer's part of the cache; fields as in the native `AttentionCall`. */
  readonly sequences: Float64Array;
}

export interface MixOp {
  readonly kind: 'mix';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  readonly weights: AttentionWeights;
}

/** How many rows chose each expert. */
export interface MixResult {
  readonly rowsPerExpert: readonly number[];
}

export interface ExpertOp {
  readonly kind: 'expert';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  readonly expert: number;
  readonly weights: ExpertWeights;
}

export interface HeadOp {
  readonly kind: 'head';
  readonly frame: number;
  /** Rows of the frame whose logits are wanted. */
  readonly rowIndices: Int32Array;
  /** Return the logits themselves too. */
  readonly wantsLogits: boolean;
}

export interface HeadResult {
  readonly ids: Int32Array; // (row), the most likely token
  readonly margins: Float32Array; // (row), its lead over the second
  /**
   * For every row of the frame up to the last wanted one: the smallest lead, over all layers, of the last chosen
   * expert over the first not chosen.
   */
  readonly routerMargins: Float32Array;
  readonly logits: Float32Array | null; // (row, vocab)
}

/** One step of the draft: feeds tokens of several sequences, returns each one's most likely next token. */
export interface DraftOp {
  readonly kind: 'draft';
  readonly ids: Int32Array; // (row)
  /** Offsets within every layer's part of the cache; fields as in the native `AttentionCall`. */
  readonly sequences: Float64Array;
  /** The last row of each sequence. */
  readonly rowIndices: Int32Array;
}

export interface DraftResult {
  readonly ids: Int32Array; // (sequence)
}

export type WorkerOp = UploadOp | EmbedOp | ProjectOp | AttentionOp | MixOp | ExpertOp | HeadOp | DraftOp;

/** A read for the disk lane, which has no worker: the native streamer has threads of its own. */
export interface LoadOp {
  readonly kind: 'load';
  readonly ranges: readonly {
    readonly path: string;
    readonly fileOffset: number;
    readonly byteLength: number;
    readonly hostOffset: HostAddress;
  }[];
}

export type Op = WorkerOp | LoadOp;
