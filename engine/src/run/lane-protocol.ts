/** The messages between the main thread and the lanes' worker threads. */

import type { ArenaHandle } from '@specoffload/native';
import type { Caps } from '../machine/caps.js';
import type {
  AttentionWeights,
  EmbedCommand,
  ExpertWeights,
  HeadWeights,
  ModelRole,
  QueueHandle,
} from '../machine/device.js';
import type { Region } from '../machine/pool.js';
import type { ModelSpec } from '../model/spec.js';
import type { ModelPlacement } from '../schedule/memory-plan.js';
import type { WorkerOp } from '../schedule/ops.js';
import type { PhaseName } from '../trace/types.js';
import type { NotFinitePlace } from './not-finite.js';
import type { LayerKind } from './rehearsal.js';

/** The lanes that have a thread; the disk's are the native core's. */
export type WorkerLane = 'link' | 'host' | 'device';

/** What a lane's thread needs for a run. */
export interface LaneWorkerData {
  readonly lane: WorkerLane;
  readonly core: 'native' | 'twin';
  readonly host: readonly ArenaHandle[];
  /** The lane's way to the device; null for the host's, which has none. */
  readonly queue: QueueHandle | null;
  /** Device memory that transfers fill, to be there in full before the first. */
  readonly landing: readonly Region[];
  readonly threads: number;
  readonly caps: Caps;
  readonly target: WorkerModel;
  readonly draft: WorkerModel | null;
  /** The draft's memory belongs to something else at first. */
  readonly isDraftLate: boolean;
}

/** The part of a placement that workers need; checkpoints stay with the main thread. */
export type WorkerModel = Pick<
  ModelPlacement,
  'formats' | 'frames' | 'hostScratch' | 'hostSinks' | 'kvCache' | 'rope' | 'numPositions' | 'routers'
> & {
  readonly role: ModelRole;
  readonly spec: ModelSpec;
  readonly embedding: Pick<EmbedCommand, 'table' | 'dtype' | 'onDevice'>;
  readonly head: HeadWeights;
  /** Of its layers one of each kind. */
  readonly kinds: readonly LayerKind[];
  /** The draft's layers, all of them on the device; empty for the target, whose tasks name their weights. */
  readonly layers: readonly {
    readonly attention: AttentionWeights;
    readonly experts: readonly ExpertWeights[];
  }[];
};

export interface WorkerRequest {
  readonly id: number;
  readonly op: WorkerOp;
  readonly phase: PhaseName;
  /**
   * Since when the op could have been on its way, on the clock of process.hrtime: a paced lane loses no time to
   * the messages in between, nor to being late.
   */
  readonly readySeconds: number;
}

/** A request on its way: a list of fields without their names crosses in half the time. */
export type SentRequest = readonly [
  id: number,
  op: WorkerOp,
  phase: PhaseName,
  readySeconds: number,
  /** What the op names and the thread has not been sent yet, see `SentConstants`. */
  constant: object | undefined,
];

/** A thread opens its lane for a run, serves its ops, closes it, and may open it for another run. */
export type WorkerMessage = { readonly open: LaneWorkerData } | SentRequest | { readonly close: true };

/** An op's end on its way, without names as well. */
export type SentEnd = readonly [
  id: number,
  startSeconds: number,
  endSeconds: number,
  result: unknown,
  /** What the lane's queue has done since the last reply, see `DeviceQueue.takeWork`. */
  work?: Float64Array | null,
];

export type WorkerReply =
  | { readonly ready: true }
  | { readonly closed: true }
  | SentEnd
  | {
      readonly id: number;
      readonly error: string;
      /** It is a sentence for whoever asked for the run. */
      readonly isForUser: boolean;
      readonly notFinite: NotFinitePlace | null;
    };
