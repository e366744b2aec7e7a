/** What a device's queues are told to do: commands on addresses. */

import type { WeightDtype } from '@specoffload/native';
import type { RowDraws } from '../speculate/row-draws.js';
import type { ModelRole } from './device.js';
import type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  ExpertWeights,
  HeadWeights,
} from './device-weights.js';
import type { HostAddress, StoredTensor } from './stored-tensor.js';

/** Makes bytes of device memory zero; until then they may be anything. */
export interface ZeroCommand {
  readonly kind: 'zero';
  readonly target: DeviceAddress;
  readonly byteLength: number;
}

/** Puts a few values, which travel with the command, into device memory. */
export interface WriteCommand {
  readonly kind: 'write';
  readonly values: Float32Array;
  readonly target: DeviceAddress;
}

/** Stored weights in host memory, brought to the device in the format in which weights lie there. */
export interface DecodeCommand extends StoredTensor {
  readonly kind: 'decode';
  readonly target: DeviceAddress;
}

/** Activations or keys and values across the link, fp32 in host memory. */
export interface CopyCommand {
  readonly kind: 'upload' | 'read-back';
  readonly host: HostAddress;
  readonly device: DeviceAddress;
  /** (stretch, 3): element offsets from `host` and from `device`, and elements. */
  readonly stretches: Float64Array;
}

/** target[row] = embedding of ids[row] times the model's `embedding.scale`, from the table in host memory, as stored. */
export interface EmbedCommand {
  readonly kind: 'embed';
  readonly model: ModelRole;
  readonly table: HostAddress; // (vocab, hidden)
  readonly dtype: WeightDtype;
  /** The same in device memory: the head's, where it is that tensor. */
  readonly onDevice?: DeviceTensor | undefined; // (vocab, hidden)
  readonly ids: Int32Array; // (row)
  readonly target: DeviceAddress; // (row, hidden)
}

/**
 * q, k, v = projections of the normed rows of `x`, with the biases and norms that the layer's spec has. Norms multiply
 * with weight + `NormSpec.offset`.
 */
export interface ProjectCommand {
  readonly kind: 'project';
  readonly model: ModelRole;
  readonly layer: number;
  readonly x: DeviceAddress; // (row, hidden)
  readonly rows: number;
  readonly weights: AttentionWeights;
  readonly q: DeviceAddress; // (row, head, headDim)
  readonly k: DeviceAddress; // (row, kvHead, headDim)
  readonly v: DeviceAddress; // (row, kvHead, headDim)
}

/**
 * Attention over a KV cache in device memory; the arguments are those of the native `AttentionCall`, window and scale
 * those of the layer's spec.
 */
export interface AttendCommand {
  readonly kind: 'attend';
  readonly model: ModelRole;
  readonly layer: number;
  readonly q: DeviceAddress; // (row, head, headDim)
  readonly k: DeviceAddress; // (row, kvHead, headDim)
  readonly v: DeviceAddress; // (row, kvHead, headDim)
  readonly out: DeviceAddress; // (row, head, headDim)
  readonly rows: number;
  /** The layer's part of the KV cache; the sequences' element offsets count from its start. */
  readonly cache: DeviceAddress;
  readonly cacheElements: number;
  readonly sequences: Float64Array; // (sequence, 5)
  readonly shared?: Float64Array | undefined; // (sequence, 4)
  readonly ropeCos: DeviceAddress; // (position, headDim / 2)
  readonly ropeSin: DeviceAddress;
  readonly numPositions: number;
  /** Weights of the layer's group, (head); null where it has none. */
  readonly sinks: DeviceTensor | null;
}

/**
 * y = x + afterAttention(attention · oᵀ + bias), where that norm is the layer's own or nothing; normed = norm(y); router
 * logits, with their bias, where there is a choice.
 */
export interface MixCommand {
  readonly kind: 'mix';
  readonly model: ModelRole;
  readonly layer: number;
  readonly attention: DeviceAddress; // (row, head, headDim)
  readonly x: DeviceAddress; // (row, hidden)
  readonly rows: number;
  readonly weights: AttentionWeights;
  readonly y: DeviceAddress; // (row, hidden)
  readonly normed: DeviceAddress; // (row, hidden)
  readonly router: DeviceAddress; // (row, expert)
}

/**
 * out = afterFfn(down · activate(gate · x, up · x)), each product with its bias: see `Activation` and `NormSpec`. Of a
 * shared expert, times sigmoid(outputGate · x).
 */
export interface FeedForwardCommand {
  readonly kind: 'feed-forward';
  readonly model: ModelRole;
  readonly layer: number;
  readonly x: DeviceAddress; // (row, hidden)
  readonly rows: number;
  readonly weights: ExpertWeights;
  /** Neurons that the weights are of. @default all of the layer's */
  readonly width?: number | undefined;
  readonly out: DeviceAddress; // (row, hidden)
}

/** logits = head · norm(x). */
export interface LogitsCommand {
  readonly kind: 'logits';
  readonly model: ModelRole;
  readonly x: DeviceAddress; // (row, hidden)
  readonly rows: number;
  readonly weights: HeadWeights;
  readonly out: DeviceAddress; // (row, vocab)
}

/**
 * Chooses experts by the layer's router, the lower number first among equals: answers with their numbers and how close it
 * was, and lists the rows of each for {@link GatherCommand} and {@link ScatterAddCommand}.
 */
export interface RouteCommand {
  readonly kind: 'route';
  readonly model: ModelRole;
  readonly layer: number;
  readonly scores: DeviceAddress; // (row, expert)
  readonly rows: number;
  /** (4, row * expertsPerToken) words: row numbers and what outputs are multiplied with, by expert; the rest is scratch. */
  readonly lists: DeviceAddress;
}

/** Numbers that a device has in its own memory. */
export interface NumbersOnDevice {
  readonly address: DeviceAddress;
  readonly length: number;
}

/** target[i] = source[indices[i]], rows of `width` values. */
export interface GatherCommand {
  readonly kind: 'gather';
  readonly source: DeviceAddress;
  readonly indices: Int32Array | NumbersOnDevice;
  readonly width: number;
  readonly target: DeviceAddress;
}

/** target[indices[i]] += scales[i] * source[i], rows of `width` values; indices on the device are distinct. */
export interface ScatterAddCommand {
  readonly kind: 'scatter-add';
  readonly source: DeviceAddress;
  readonly indices: Int32Array | NumbersOnDevice;
  readonly scales: Float32Array | NumbersOnDevice;
  readonly width: number;
  readonly target: DeviceAddress;
}

/** Answers with values of device memory. */
export interface ReadCommand {
  readonly kind: 'read';
  readonly source: DeviceAddress;
  readonly count: number;
}

/** Answers with the largest of each row, or with the tokens that `drawToken` draws of them. */
export interface ArgmaxCommand {
  readonly kind: 'argmax';
  readonly source: DeviceAddress; // (row, width)
  readonly rows: number;
  readonly width: number;
  /** Noise, masks and penalties of the rows, pure functions of what is in here. @default the largest */
  readonly draws?: RowDraws | undefined;
  /** Draws from all of a row's logits, where an answer before was not `isPartial`. */
  readonly fromAll?: boolean;
}

/** Answers whether the first value of every row is finite. */
export interface StartsFiniteCommand {
  readonly kind: 'starts-finite';
  readonly source: DeviceAddress; // (row, width)
  readonly rows: number;
  readonly width: number;
}

/** Matrix products and what is fused with them. */
export type ProductCommand = ProjectCommand | MixCommand | FeedForwardCommand | LogitsCommand;

/** What moves between host and device memory: all that a copy queue has to take. */
export type TransferCommand = DecodeCommand | CopyCommand;

/** What is answered in the completion. */
export type QuestionCommand = ReadCommand | ArgmaxCommand | StartsFiniteCommand | RouteCommand;

export type Command =
  | ProductCommand
  | TransferCommand
  | QuestionCommand
  | ZeroCommand
  | WriteCommand
  | EmbedCommand
  | AttendCommand
  | GatherCommand
  | ScatterAddCommand;
