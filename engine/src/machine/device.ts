/**
 * The device: memory of its own, arithmetic of its own. Nothing above this interface may assume that device memory
 * is host memory, so that a GPU can take the place of the processor.
 */

import type { WeightDtype } from '@specoffload/native';
import type { ModelConfig } from '../model/types.js';

/** A byte offset in the device pool. */
export type DeviceAddress = number;

/** A byte offset in the host pool. */
export type HostAddress = number;

/** A layer's attention group in device memory. Shapes as in {@link TensorRole}. */
export interface AttentionWeights {
  readonly inputNorm: DeviceAddress;
  readonly q: DeviceAddress;
  readonly k: DeviceAddress;
  readonly v: DeviceAddress;
  readonly o: DeviceAddress;
  readonly postNorm: DeviceAddress;
  /** Absent in dense models. */
  readonly router?: DeviceAddress;
}

/** One expert (or the dense FFN) in device memory. */
export interface ExpertWeights {
  readonly gate: DeviceAddress;
  readonly up: DeviceAddress;
  readonly down: DeviceAddress;
}

export interface HeadWeights {
  readonly finalNorm: DeviceAddress;
  readonly head: DeviceAddress;
}

/** Attention over a KV cache in device memory; the arguments are those of the native `AttentionCall`. */
export interface DeviceAttention {
  readonly q: DeviceAddress; // (row, head, headDim)
  readonly k: DeviceAddress; // (row, kvHead, headDim)
  readonly v: DeviceAddress; // (row, kvHead, headDim)
  readonly out: DeviceAddress; // (row, head, headDim)
  readonly rows: number;
  /** The layer's part of the KV cache; the sequences' element offsets count from its start. */
  readonly cache: DeviceAddress;
  readonly cacheElements: number;
  readonly sequences: Float64Array; // (sequence, 5)
  readonly ropeCos: DeviceAddress; // (position, headDim / 2)
  readonly ropeSin: DeviceAddress;
  readonly numPositions: number;
}

/** The arithmetic of one model's layers, on buffers in device memory. All rows are independent of each other. */
export interface DeviceModel {
  readonly config: ModelConfig;
  /** q, k, v = projections of the normed rows of `x` (row, hidden). */
  project(
    x: DeviceAddress,
    rows: number,
    weights: AttentionWeights,
    out: { readonly q: DeviceAddress; readonly k: DeviceAddress; readonly v: DeviceAddress },
  ): Promise<void>;
  /** y = x + attention · oᵀ; normed = norm(y); router logits (row, expert) when the model has a router. */
  mix(
    attention: DeviceAddress,
    x: DeviceAddress,
    rows: number,
    weights: AttentionWeights,
    out: { readonly y: DeviceAddress; readonly normed: DeviceAddress; readonly router: DeviceAddress },
  ): Promise<void>;
  /** out (row, hidden) = down · (silu(gate · x) * (up · x)). */
  feedForward(x: DeviceAddress, rows: number, weights: ExpertWeights, out: DeviceAddress): Promise<void>;
  /** logits (row, vocab) = head · norm(x). */
  logits(x: DeviceAddress, rows: number, weights: HeadWeights, out: DeviceAddress): Promise<void>;
  attend(call: DeviceAttention): void;
}

/** Row-wise data movement and small reductions that every provider must offer beside the matrix products. */
export interface Device {
  createModel(config: ModelConfig): Promise<DeviceModel>;
  /** Copies fp32 values from host to device memory. */
  upload(source: HostAddress, target: DeviceAddress, count: number): void;
  /** Copies fp32 values from device to host memory. */
  readBack(source: DeviceAddress, target: HostAddress, count: number): void;
  /** Values of device memory, as this thread's own copy. */
  read(source: DeviceAddress, count: number): Float32Array;
  /** Crosses the link: stored weights in host memory to fp32 in device memory. */
  widen(source: HostAddress, dtype: WeightDtype, count: number, target: DeviceAddress): void;
  /** target[i] = source[indices[i]], rows of `width` values. */
  gatherRows(source: DeviceAddress, indices: Int32Array, width: number, target: DeviceAddress): void;
  /** target[indices[i]] += scales[i] * source[i], rows of `width` values. */
  scatterAddRows(
    source: DeviceAddress,
    indices: Int32Array,
    scales: Float32Array,
    width: number,
    target: DeviceAddress,
  ): void;
  /**
   * Per row of (row, width): the largest value's index (the lowest among equals) and its lead over the second, which is
   * NaN where a value of the row is not finite.
   */
  argmaxRows(source: DeviceAddress, rows: number, width: number): { ids: Int32Array; margins: Float32Array };
  /** Whether the first value of every row of (row, width) is finite. */
  startsFinite(source: DeviceAddress, rows: number, width: number): boolean;
  release(): Promise<void>;
}
