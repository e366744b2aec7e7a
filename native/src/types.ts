/**
 * The one interface that the C++ addon and its TypeScript twin both implement.
 *
 * Everything here works on memory inside an {@link Arena}, so that every thread of the process sees the same
 * bytes and nothing is copied between lanes except where a copy is the point (the link).
 */

import type { WeightDtype } from './codecs/index.js';
import type { MatrixLayout } from './codecs/matrix.js';

/** Direct reads need file offsets, lengths and memory addresses that are multiples of this. */
export const directIoAlignmentBytes = 4096;

/** What travels to another thread (by `postMessage` or `workerData`) to open the same arena there. */
export type ArenaHandle =
  | { readonly kind: 'native'; readonly id: number; readonly byteLength: number }
  | { readonly kind: 'twin'; readonly memory: SharedArrayBuffer; readonly byteLength: number };

/**
 * One block of zeroed memory, aligned to {@link directIoAlignmentBytes} (except in the twin, which never reads
 * directly), seen by every thread that opened it. Memory is committed when it is first touched, not before.
 */
export interface Arena {
  readonly byteLength: number;
  readonly handle: ArenaHandle;
  /**
   * The whole arena. `ArrayBuffer` on native memory (external, zero copy; onnxruntime takes views of it),
   * `SharedArrayBuffer` in the twin.
   */
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  /**
   * Drops this hold. With a thread's last hold, its `buffer` is detached (views of it become empty; the twin leaves
   * them to the garbage collector). Memory returns to the system when the last thread, and the last read under way,
   * has dropped it. An arena that becomes unreachable is released by the garbage collector.
   */
  release(): void;
}

/** A file opened for streaming. */
export interface StreamFile {
  readonly path: string;
  readonly byteLength: number;
  /** Whether reads bypass the page cache (`O_DIRECT`); false where the file system refuses it. */
  readonly direct: boolean;
}

/** One contiguous range to read. For direct files all three numbers are multiples of 4096. */
export interface ReadRange {
  readonly file: StreamFile;
  readonly fileOffset: number;
  /** May reach past the end of the file (the last block of a direct read); missing bytes are left alone. */
  readonly byteLength: number;
  readonly arenaOffset: number;
}

/**
 * When a read really started and ended on the process-wide monotonic clock (`process.hrtime`), seconds. A paced read
 * starts and ends when the capped link begins and has finished to carry it; the promise may be told a little later.
 */
export interface ReadReport {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly bytesRead: number;
}

export interface StreamerOptions {
  /** Reads in flight at the same time. @default 2 */
  readonly readsInFlight?: number;
  /** Largest single read, bytes; a multiple of 4096. @default 4 MiB */
  readonly chunkBytes?: number;
  /** Bypass the page cache where the file system allows it. @default true */
  readonly direct?: boolean;
  /** Pace reads to this rate, for the wind tunnel. @default null, as fast as the disk goes */
  readonly bytesPerSecondCap?: number | null;
}

/**
 * Asynchronous reads of file ranges into an arena. Requests are served in the order of the calls, in chunks, with
 * `readsInFlight` chunks under way across request borders, so the disk does not drain between two requests.
 */
export interface Streamer {
  /** @throws Error naming the path, with the system's `code`, when it cannot be opened or is no regular file. */
  open(path: string): StreamFile;
  /** Reads all ranges into `arena`. Rejects with the path and the system's error when a read fails or is short. */
  read(ranges: readonly ReadRange[], arena: Arena): Promise<ReadReport>;
  /** Waits for reads under way, closes all files and ends the reader threads. */
  close(): Promise<void>;
}

/** What one attention call needs to know about the model. */
export interface AttentionShape {
  readonly numHeads: number;
  /** Divides numHeads; each key/value head serves numHeads / numKvHeads query heads. */
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Keys a query sees, itself included (sliding window); 0 for all of them. */
  readonly slidingWindow: number;
  /** What scores are multiplied with before the softmax. */
  readonly scale: number;
}

/** Number of fields per sequence in {@link AttentionCall.sequences}. */
export const sequenceFields = 5;

/** And in {@link AttentionCall.shared}. */
export const sharedFields = 4;

/**
 * One layer's attention for a ragged batch: rotates q and k (RoPE, rotate-half convention), appends k and v to the
 * cache, and attends causally. `q`, `k`, `v`, `out` and `cache` are views of arena memory (or any memory in tests).
 *
 * The result of a row does not depend, to the bit, on which other rows are in the call or on `threads`.
 */
export interface AttentionCall {
  readonly shape: AttentionShape;
  readonly q: Float32Array; // (row, head, headDim), not modified
  readonly k: Float32Array; // (row, kvHead, headDim), not modified
  readonly v: Float32Array; // (row, kvHead, headDim)
  readonly out: Float32Array; // (row, head, headDim), written
  readonly cache: Float32Array; // holds every sequence's keys and values, mutated
  /**
   * (sequence, 5): element offset in `cache` of the sequence's keys (kvHead, capacity, headDim), of its values
   * (same shape), capacity in tokens, tokens already cached, new tokens in this call. The rows of q, k, v and out
   * are the new tokens of the first sequence, then of the second, and so on.
   */
  readonly sequences: Float64Array;
  /**
   * (sequence, 4): where the first tokens lie that a sequence shares with another, whose block holds them already or gets
   * them in this call, as an earlier sequence: element offset of that block's keys, of its values, its capacity, and how
   * many tokens are shared. They count as cached; the sequence's own block holds those behind them, from its start, and
   * may be the rest of another's: what is read and written of a block has to lie in the cache. @default none shares any
   */
  readonly shared?: Float64Array | null | undefined;
  readonly ropeCos: Float32Array; // (position, headDim / 2)
  readonly ropeSin: Float32Array; // (position, headDim / 2)
  /** Scores that take part in the softmax and have no value, (head); null for none. */
  readonly sinks: Float32Array | null;
  /** Threads to use, the calling one included. */
  readonly threads: number;
}

/**
 * y = x · weightsᵀ (+ bias) (+ addend), in fp32 with weights as they are stored: they are decoded on the way, exactly.
 *
 * The result of a row does not depend, to the bit, on which other rows are in the call or on `threads`.
 */
export interface ProductCall {
  readonly dtype: WeightDtype;
  /** (width, depth), its rows `step` apart, at any byte; longer is fine. */
  readonly weights: Uint8Array;
  /** In which order their rows lie, and how many apart, as in {@link MatrixLayout}. */
  readonly paired: number;
  readonly step: number;
  /** Stored transposed, as in {@link MatrixLayout}. @default 0: not */
  readonly across?: number | undefined;
  /** In parts of their own, their offsets counted from the first of the weights. @default none */
  readonly scales?: MatrixLayout['scales'] | undefined;
  readonly x: Float32Array; // (row, depth)
  readonly y: Float32Array; // (row, width), written
  readonly rows: number;
  /** Whole blocks of the codec. */
  readonly depth: number;
  readonly width: number;
  readonly bias: Float32Array | null; // (width)
  readonly addend: Float32Array | null; // (row, width), not y
  /** Threads to use, the calling one included. */
  readonly threads: number;
}

/** What a product is asked of its weights. */
export type WeightsOfProduct = Omit<ProductCall, 'x' | 'y' | 'rows' | 'bias' | 'addend' | 'threads'>;

/** Weights of a product whose rows lie in order, or apart, without scales of their own: as in {@link ProductCall}. */
export type PlainWeights = Pick<ProductCall, 'dtype' | 'weights' | 'paired' | 'step'>;

/** y = activate(x · gateᵀ, x · upᵀ) · downᵀ, see {@link GatingCall}. */
export interface FeedForwardCall extends Pick<GatingCall, 'activation' | 'limit' | 'alpha'> {
  readonly x: Float32Array; // (row, depth)
  readonly y: Float32Array; // (row, depth), written
  readonly rows: number;
  readonly depth: number;
  readonly width: number;
  readonly gate: PlainWeights; // (width, depth)
  readonly up: PlainWeights; // (width, depth)
  readonly down: PlainWeights; // (depth, width)
  readonly threads: number;
}

/** y = x / sqrt(mean(x²) + eps) * (offset + weight) (+ addend), over stretches of `width`. */
export interface NormCall {
  readonly x: Float32Array; // (row, width)
  readonly weight: Float32Array; // (width)
  readonly addend: Float32Array | null; // (row, width)
  readonly y: Float32Array; // (row, width), written; may be x
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
  readonly offset: number;
}

/** gate = what a gated FFN makes of gate and up, value by value; the engine's `Activation` says what each is. */
export interface GatingCall {
  readonly activation: 'silu' | 'gelu-tanh' | 'clamped-swiglu';
  readonly gate: Float32Array; // (count), mutated
  readonly up: Float32Array; // (count)
  readonly count: number;
  /** Of the clamped one. */
  readonly limit: number;
  readonly alpha: number;
}

/** What the machine and the cgroup around this process allow. */
export interface ProbeReport {
  readonly cpuModel: string;
  /** Cores this process may run on (its affinity mask), by number. */
  readonly allowedCores: readonly number[];
  readonly memoryBytes: number;
  /** The tightest cgroup memory limit around the process (v1 or v2), or null. */
  readonly cgroupMemoryBytes: number | null;
  /** Cores' worth of CPU time the cgroup grants (quota / period), or null. */
  readonly cgroupCores: number | null;
  /** Largest resident set of this process so far. */
  readonly peakResidentBytes: number;
  /** The level of vector instructions that kernels use: one of `kernelLevels`; `typescript` in the twin. */
  readonly kernelLevel: string;
  /** Those that this processor can run, the best last: `baseline`, `avx2`, `avx512`. */
  readonly kernelLevels: readonly string[];
}

/** Everything the native core offers; `kind` says which implementation answers. */
export interface NativeCore {
  readonly kind: 'native' | 'twin';
  /** @throws RangeError unless 0 < byteLength <= `buffer.constants.MAX_LENGTH` (4 GiB in Node 20). */
  createArena(byteLength: number): Arena;
  /** Opens, in this thread, an arena that some thread still holds. */
  openArena(handle: ArenaHandle): Arena;
  createStreamer(options?: StreamerOptions): Streamer;
  /**
   * Widens `count` elements of `dtype`, whole blocks of it, at byte `sourceOffset` of `source` to fp32 at byte `targetOffset` of
   * `target`; this is what crossing the link does. The source may start at any byte, since a checkpoint's tensors do; the
   * target at multiples of 4. @throws RangeError when either side does not fit its arena, or when they overlap.
   */
  widen(
    source: Arena,
    sourceOffset: number,
    dtype: WeightDtype,
    count: number,
    target: Arena,
    targetOffset: number,
  ): void;
  /** As {@link widen}, for a matrix whose values do not simply lie one row behind the other. */
  decodeMatrix(
    source: Arena,
    valuesOffset: number,
    dtype: WeightDtype,
    layout: MatrixLayout,
    target: Arena,
    targetOffset: number,
  ): void;
  /**
   * Packs bf16 without loss, as `bf16_packed` stores it. @throws RangeError unless both are the same whole blocks
   * @returns false where a block does not fit; then `packed` holds anything
   */
  packBf16(values: Uint8Array, packed: Uint8Array): boolean;
  /** The way back, of any bytes. @throws RangeError unless both are the same whole blocks */
  unpackBf16(packed: Uint8Array, values: Uint8Array): void;
  attend(call: AttentionCall): void;
  multiply(call: ProductCall): void;
  normalise(call: NormCall): void;
  activate(call: GatingCall): void;
  /** False, and nothing is done, where these kernels are as fast product by product; sums are the same either way. */
  feedForward(call: FeedForwardCall): boolean;
  /**
   * Pins the calling thread (and native threads it starts later: call it before the first read or attention) to
   * these cores; false where not supported. @throws Error with the system's `code` when it allows none of them.
   */
  pinThread(cores: readonly number[]): boolean;
  /**
   * Sets a variable in the environment of the process, where libraries in C++ look for it. `process.env` of a worker
   * thread is a copy that they never see; so is what the twin sets there, unless the thread was started with
   * `SHARE_ENV`.
   */
  setVariable(name: string, value: string): void;
  /**
   * Makes kernels of all threads use this level of vector instructions, from their next call on. Decoded weights are the
   * same to the bit at each; sums are taken in other orders. @throws RangeError when this processor has no such level.
   */
  useKernels(level: string): void;
  probe(): ProbeReport;
}
