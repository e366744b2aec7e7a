/** What a task asks of its lane: plain data that can cross to another thread, every buffer an offset into a pool. */

import type {
  AttentionWeights,
  DeviceAddress,
  ExpertWeights,
  HostAddress,
  StoredTensor,
} from '../machine/device.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { Leaders } from '../speculate/leaders.js';
import type { RowDraws } from '../speculate/row-draws.js';
import type { StagedPiece } from './group-layout.js';

/** Brings a group, or a part of it, across the link. */
export interface UploadOp {
  readonly kind: 'upload';
  readonly pieces: readonly StagedPiece[];
  /** Where the staged group lies, and its place on the device. */
  readonly host: HostAddress;
  readonly device: DeviceAddress;
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

/** Projections, attention over a KV cache in device memory, output projection and router, in one go. */
export interface DeviceAttentionOp {
  readonly kind: 'device-attention';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  readonly weights: AttentionWeights;
  /** Start of the cache that `sequences` counts from, and its length. */
  readonly cache: DeviceAddress;
  readonly cacheElements: number;
  readonly sequences: Float64Array;
  readonly shared?: Float64Array | undefined;
  /** Return what each expert's rows are, for experts on the host. */
  readonly wantsRouting: boolean;
  /** Return what the routers of these layers would choose by now. */
  readonly foresees: readonly number[];
}

/** Moves stretches of a KV cache across the link, fp32 as they are. */
export interface CacheOp {
  readonly kind: 'fetch' | 'store';
  /** Start of the layer's cache in host memory, and of the buffer in device memory. */
  readonly host: HostAddress;
  readonly device: DeviceAddress;
  /** (stretch, 3): element offsets from `host` and from `device`, and elements. */
  readonly stretches: Float64Array;
}

/** One expert on the host, or its share of one, from stored weights in host memory; its output waits in the frame's host buffers. */
export interface HostExpertOp {
  readonly kind: 'host-expert';
  readonly frame: number;
  readonly layer: number;
  readonly expert: number;
  /** The frame's rows that chose it. */
  readonly indices: Int32Array;
  readonly weights: StoredWeights<ExpertWeights>;
  /** As in {@link FeedForwardCommand}. */
  readonly width?: number | undefined;
}

/** Weights in host memory, as stored. */
export type StoredWeights<Weights> = { readonly [Role in keyof Weights]: StoredTensor };

/** Brings a frame's hidden states to the host, before a layer's attention that is all computed there. */
export interface ReadHiddenOp {
  readonly kind: 'read-hidden';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
}

/** Projections, attention, output projection and router on the host; the frame's host buffers hold what goes in and out. */
export interface HostAttentionOp {
  readonly kind: 'host-attention';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  /** As in {@link AttentionOp}. */
  readonly cacheBytes: number;
  readonly sequences: Float64Array;
  readonly shared?: Float64Array | undefined;
  readonly weights: StoredWeights<AttentionWeights>;
  /** As in {@link MixOp}. */
  readonly foresees: readonly number[];
}

/** What the device has to know of an attention on the host. */
export interface HostAttentionResult extends MixResult {
  /** (choice), by expert: rows, and what outputs are multiplied with. */
  readonly indices: Int32Array;
  readonly scales: Float32Array;
  /** (row): the router's lead in this layer. */
  readonly routerMargins: Float32Array;
}

/** Brings the hidden states and normed rows that such an attention has left in the frame's host buffers. */
export interface AdoptOp extends Omit<ReadHiddenOp, 'kind'> {
  readonly kind: 'adopt';
  readonly found: HostAttentionResult;
}

/** Brings a host expert's output to the device and adds it. */
export interface MergeOp {
  readonly kind: 'merge';
  readonly frame: number;
  readonly layer: number;
  readonly expert: number;
}

export interface AttentionOp {
  readonly kind: 'attention';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  /** Of the KV cache, read; what a paced host is paced by. */
  readonly cacheBytes: number;
  /** Offsets within the layer's part of the cache; fields as in the native `AttentionCall`. */
  readonly sequences: Float64Array;
  readonly shared?: Float64Array | undefined;
}

export interface MixOp {
  readonly kind: 'mix';
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
  readonly weights: AttentionWeights;
  /** Return what each expert's rows are, for experts on the host. */
  readonly wantsRouting: boolean;
  /** Return what the routers of these layers would choose by now. */
  readonly foresees: readonly number[];
}

/** How many rows chose each expert, and, where asked for, which. */
export interface MixResult {
  /** (asked layer): experts that its router is expected to choose, ascending. */
  readonly foreseen?: readonly (readonly number[])[] | undefined;
  readonly rowsPerExpert: readonly number[];
  readonly expertRows?: readonly Int32Array[];
}

export interface ExpertOp {
  readonly kind: 'expert';
  /** Whose rows it computes at once. */
  readonly frames: readonly number[];
  readonly layer: number;
  readonly rows: number;
  readonly expert: number;
  readonly weights: ExpertWeights;
  /** As in {@link FeedForwardCommand}. */
  readonly width?: number | undefined;
}

export interface HeadOp {
  readonly kind: 'head';
  readonly frame: number;
  /** Rows of the frame whose logits are wanted. */
  readonly rowIndices: Int32Array;
  /** Return the logits themselves too. */
  readonly wantsLogits: boolean;
  /** How their tokens are drawn. @default the most likely */
  readonly draws?: RowDraws | undefined;
}

/** In predictions, which compute nothing, `margins` and `routerMargins` are empty: no choice was close. */
export interface HeadResult {
  readonly ids: Int32Array; // (row), the token chosen
  readonly margins: Float32Array; // (row), its lead, see `RowMaxima`
  /**
   * For every row of the frame up to the last wanted one: the smallest lead, over all layers, of the last chosen
   * expert over the first not chosen.
   */
  readonly routerMargins: Float32Array;
  readonly logits: Float32Array | null; // (row, vocab)
  /** Of every row, where the rejection rule has to know, see `DrawnTokens`. */
  readonly shares?: readonly TokenShares[] | undefined;
}

/** One step of the draft: feeds tokens of several sequences, returns the next token that it chooses for each. */
export interface DraftOp {
  readonly kind: 'draft';
  readonly ids: Int32Array; // (row)
  /** By layer: offsets within its part of the cache; fields as in the native `AttentionCall`. */
  readonly sequences: readonly Float64Array[];
  /** By layer, where branches find what they share with their sequences; as in the native `AttentionCall`. @default no branches */
  readonly shared?: readonly Float64Array[] | undefined;
  /** The last row of each sequence. */
  readonly rowIndices: Int32Array;
  /** How tokens are drawn. @default the most likely */
  readonly draws?: RowDraws | undefined;
  /** Of each sequence's last row, how many of the tokens that it favours are wanted, too. */
  readonly numLeaders: number;
  /** Of its products, as predictions count them: what a cap paces. */
  readonly flops: number;
}

/** Writes the draft's rotation tables, where they do not lie in its memory from the start. */
export interface WriteRotationsOp {
  readonly kind: 'write-rotations';
}

export interface DraftResult {
  readonly ids: ArrayLike<number>; // (sequence); on a virtual machine (sequence, step)
  readonly shares?: readonly TokenShares[] | undefined; // (sequence), as a head's
  readonly leaders?: readonly Leaders[] | undefined; // (sequence), where they are wanted
}

/** What was looked up behind a sequence. */
export interface LookedUp {
  readonly ids: readonly number[];
  /** What might follow in their places, where somebody asked. */
  readonly leaders: readonly Leaders[] | null;
}

/** Work that only a virtual machine does. */
export interface ImaginedOp {
  readonly kind: 'imagined';
}

export type WorkerOp =
  | UploadOp
  | CacheOp
  | EmbedOp
  | ProjectOp
  | DeviceAttentionOp
  | AttentionOp
  | MixOp
  | ExpertOp
  | HostExpertOp
  | ReadHiddenOp
  | HostAttentionOp
  | AdoptOp
  | MergeOp
  | HeadOp
  | DraftOp
  | WriteRotationsOp
  | ImaginedOp;

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

/** Work of microseconds on what only the scheduling thread knows, which it does itself. */
export interface LookUpOp {
  readonly kind: 'look-up';
  readonly work: () => unknown;
}

export type Op = WorkerOp | LoadOp | LookUpOp;
