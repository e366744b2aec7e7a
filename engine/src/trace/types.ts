/** What happened, when, on which lane: the record that utilisation, timelines and predictions are made from. */

import type { LaneName, TaskKind } from '../topology/topology.js';

export const phaseNames = ['prefill', 'decode'] as const;

export type PhaseName = (typeof phaseNames)[number];

/** What identifies a task, in the graph and in the trace alike. */
export interface TaskLabel {
  readonly id: number;
  readonly lane: LaneName;
  readonly kind: TaskKind;
  /** For people: `load layer.3.expert.5`. */
  readonly name: string;
  readonly phase: PhaseName;
  /** Number of the target pass (0-based) it belongs to; a draft step carries the pass it prepares, set-up work -1. */
  readonly pass: number;
  /** Batch in flight it works for, 0 or 1; -1 for weights, which serve any batch. */
  readonly batch: number;
  /** Bytes moved (disk, link) or weight and cache bytes touched (host, device). */
  readonly bytes: number;
  /** Rows (token positions) computed; 0 for transfers. */
  readonly rows: number;
}

/** One task's life on its lane. Times are seconds since the run began. */
export interface Span extends TaskLabel {
  /** Floating-point operations, of products and of attention. */
  readonly flops: number;
  /** When everything it waited for was done and its buffers were free. */
  readonly readySeconds: number;
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** The kind of work that it waited for last: see `causeOf`. @default nothing */
  readonly waitedFor?: IdleCause;
}

/** What the device can wait for: see `causeOf`. */
export type IdleCause = 'weights' | 'attention' | 'draft' | 'nothing';

export const idleCauses: readonly IdleCause[] = ['weights', 'attention', 'draft', 'nothing'];

/** A lane's share of a phase. Overlapping spans of one lane count once. */
export interface LaneReport {
  readonly busySeconds: number;
  /** busySeconds / the phase's seconds, 0 to 1. */
  readonly utilization: number;
  /** Bytes moved in this phase; 0 on the computing lanes. */
  readonly bytes: number;
  readonly numTasks: number;
}

export interface PhaseReport {
  readonly seconds: number;
  readonly lanes: Readonly<Record<LaneName, LaneReport>>;
  /** Seconds in which the device lane had nothing to do, by what it waited for: see `causeOf`. */
  readonly deviceIdle: Readonly<Record<IdleCause, number>>;
}
