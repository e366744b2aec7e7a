/**
 * The device: memory of its own, arithmetic of its own, and nobody else touches either. What it is to do is submitted to
 * one of its queues as a list of commands on addresses, and awaited; a GPU can take the place of the processor, since
 * nothing above this contract ever sees a byte of device memory.
 */

import type { TransferListItem } from 'node:worker_threads';
import type { ArenaHandle, NativeCore, PowerMeter } from '@specoffload/native';
import type { ModelSpec } from '../model/spec.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { PhaseName } from '../trace/types.js';
import type { Arithmetic, ArithmeticName } from './arithmetic.js';
import type { Command } from './commands.js';
import type { DeviceTrials } from './device-trials.js';
import type { Formats } from './formats.js';
import type { HostReach } from './host-reach.js';
import type { PoolLayout } from './pool.js';
import type { ProductNoise } from './product-noise.js';

export type * from './commands.js';
export type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  ExpertWeights,
  HeadWeights,
} from './device-weights.js';
export type { HostAddress, StoredTensor } from './stored-tensor.js';
export type { DeviceTrials, PowerMeter };

/** The models that share a device. */
export type ModelRole = 'target' | 'draft';

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

/** Which experts rows go to. */
export interface ExpertChoices {
  readonly experts: Int32Array; // (row, expertsPerToken), the best first
  /** (row): the lead of the last of them over the next, infinite where there is none, NaN where a score is not finite. */
  readonly margins: Float32Array;
}

/** When the device really worked, on the clock of `process.hrtime`, and its answers in the order of the commands. */
export interface Completion {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly values: readonly Float32Array[]; // of `read`
  readonly maxima: readonly RowMaxima[]; // of `argmax`
  readonly areFinite: readonly boolean[]; // of `starts-finite`
  readonly choices: readonly ExpertChoices[]; // of `route`
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
  /**
   * Makes ready for commands like these, so that none of them takes longer the first time. Nothing is carried out.
   * @default there is nothing to make ready
   */
  prepare?(commands: readonly Command[]): Promise<void>;
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
  /** Added to products of some groups. @default none */
  readonly productNoise?: ProductNoise | undefined;
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
