/**
 * The device: memory of its own, arithmetic of its own, and nobody else touches either. What it is to do is submitted to
 * one of its queues as a list of commands on addresses, and awaited; a GPU can take the place of the processor, since
 * nothing above this contract ever sees a byte of device memory.
 */

import type { TransferListItem } from 'node:worker_threads';
import type { ArenaHandle, NativeCore, PowerMeter, WeightDtype } from '@specoffload/native';
import type { ModelSpec } from '../model/spec.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { RowDraws } from '../speculate/row-draws.js';
import type { PhaseName } from '../trace/types.js';
import type { Arithmetic, ArithmeticName } from './arithmetic.js';
import type { DeviceTrials } from './device-trials.js';
import type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  ExpertWeights,
  HeadWeights,
} from './device-weights.js';
import type { Formats } from './formats.js';
import type { HostReach } from './host-reach.js';
import type { PoolLayout } from './pool.js';
import type { HostAddress, StoredTensor } from './stored-tensor.js';

export type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  DeviceTrials,
  ExpertWeights,
  HeadWeights,
  HostAddress,
  PowerMeter,
  StoredTensor,
};

/** The models that share a device. */
export type ModelRole = 'target' | 'draft';

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

/** out = afterFfn(down · activate(gate · x, up · x)), each product with its bias: see `Activation` and `NormSpec`. */
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

/** target[i] = source[indices[i]], rows of `width` values. */
export interface GatherCommand {
  readonly kind: 'gather';
  readonly source: DeviceAddress;
  readonly indices: Int32Array;
  readonly width: number;
  readonly target: DeviceAddress;
}

/** target[indices[i]] += scales[i] * source[i], rows of `width` values. */
export interface ScatterAddCommand {
  readonly kind: 'scatter-add';
  readonly source: DeviceAddress;
  readonly indices: Int32Array;
  readonly scales: Float32Array;
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
  /** Draws from all of a row's logits, where an answer before was not {@link RowMaxima.isPartial whole}. */
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
export type QuestionCommand = ReadCommand | ArgmaxCommand | StartsFiniteCommand;

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

/** The largest value of every row, or the token drawn of it. */
export interface RowMaxima {
  readonly ids: Int32Array; // (row); the lowest among equals
  /** (row): the lead over the second (see `DrawnToken`), NaN where a value of the row is not finite. */
  readonly margins: Float32Array;
  /** See `DrawnTokens`. */
  readonly shares?: readonly TokenShares[];
  /** More tokens may be drawn of a row than the device looks at by itself: ask again with `fromAll`. */
  readonly isPartial?: boolean;
}

/** When the device really worked, on the clock of `process.hrtime`, and its answers in the order of the commands. */
export interface Completion {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly values: readonly Float32Array[]; // of `read`
  readonly maxima: readonly RowMaxima[]; // of `argmax`
  readonly areFinite: readonly boolean[]; // of `starts-finite`
}

/**
 * Work in order: a command sees what all before it on the same queue have done, whether awaited or not. Between two
 * queues there is no order but what is awaited, and answers may come in any.
 */
export interface DeviceQueue {
  /** Submissions worth having under way: more than one where the device works by itself. */
  readonly depth: number;
  /**
   * Settles when all of it is done, and what it wrote to host memory can be seen there. Host memory that it reads is
   * read at any time until then.
   */
  submit(commands: readonly Command[]): Promise<Completion>;
  /** Makes ready for commands like these, so that none of them takes longer the first time. Nothing is carried out. */
  prepare(commands: readonly Command[]): Promise<void>;
  /**
   * Seconds by `kernelKinds` that the device has worked for this queue since this was last asked, by its own clock; null
   * where it does not tell the time. @default it has no clock
   */
  takeWork?(): Float64Array | null;
  /** What is submitted from now on belongs to this phase. @default phases are alike to it */
  enter?(phase: PhaseName): void;
  /** Lets go of all memory; everything submitted is done, and nothing follows. */
  close(): Promise<void>;
}

/** The device lane's queue takes every command, the link lane's those that transfer. */
export type QueueName = 'compute' | 'copy';

/** What crosses to the thread that submits to a queue. */
export interface QueueHandle {
  readonly kind: string;
  readonly data: unknown;
  readonly transfer: TransferListItem[];
}

/** An open device as the thread that opened it sees it: others submit. */
export interface Device {
  readonly arithmetic: Arithmetic;
  readonly facts: DeviceFacts;
  /** Reads what it draws until it is closed; null where that is not known. @default nobody tells */
  openPowerMeter?(): PowerMeter | null;
  /** Which host memory its kernels read where it lies; null: none. */
  readonly reach: HostReach | null;
  /** Hands a queue over; once for each. */
  handOver(queue: QueueName): QueueHandle;
  /** Ends it and gives its memory back; its queues are closed, or their threads have ended. */
  close(): Promise<void>;
}

/** What a record says of it. */
export interface DeviceFacts {
  readonly name: string;
  /** Version of what drives it; null for what is part of the lab. */
  readonly driver: string | null;
  /** Copies reach the host pool by themselves, pass through staging buffers, or stay within one memory. */
  readonly link: 'imported' | 'staged' | 'none';
  /** Copies have a queue of their own, beside the arithmetic. */
  readonly hasCopyQueue: boolean;
}

export interface DeviceOptions {
  readonly core: NativeCore;
  /** What has been planned to lie in its memory. */
  readonly memory: PoolLayout;
  /** How wide the plan takes its numbers to be. */
  readonly formats: Formats;
  /** The host pool, which it reads and writes where commands say so. */
  readonly host: readonly ArenaHandle[];
  readonly models: DeviceModels;
  /** Cores it may compute on, where those are the processor's. */
  readonly threads: number;
  /** The same while prompts are read. @default threads */
  readonly prefillThreads?: number;
  /** Of a device that behaves differently each time, to make it behave the same. */
  readonly seed: number;
  readonly arithmetic: ArithmeticName;
  /** Which of several of its kind. */
  readonly index: number;
  readonly trials: DeviceTrials;
}

export type DeviceModels = Readonly<Record<ModelRole, ModelSpec | null>>;

/** A kind of device. */
export interface DeviceDriver {
  /** What a plan has to be laid out for. */
  readonly formats: Formats;
  /** Whether it can multiply in bf16 where it is asked to. @default false */
  readonly roundsToBf16?: boolean;
  open(options: DeviceOptions): Promise<Device>;
  /** In the thread that submits. */
  connect(handle: QueueHandle): Promise<DeviceQueue>;
}
