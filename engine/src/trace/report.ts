/** From spans to numbers: busy time, utilisation and gaps of each lane, and what the device waited for. */

import { isTransfer, type LaneName, type LanePlace, localTopology, routesOf } from '../topology/topology.js';
import type { IdleCause, LaneReport, PhaseReport, Span } from './types.js';

/** A stretch of time that belongs to a phase; a run with several waves has several per phase. */
export interface TimeWindow {
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** What of a span totals are made of. */
export type Measured = Pick<
  Span,
  'lane' | 'phase' | 'bytes' | 'flops' | 'readySeconds' | 'startSeconds' | 'endSeconds' | 'waitedFor'
>;

/** Spans that are looked at one by one, and not kept: those of a lane by their start. */
export interface MeasuredSpans {
  forEach(visit: (span: Measured) => void): void;
}

/**
 * One phase's lanes. A span counts where it overlaps the windows; spans of one lane that overlap count once.
 * @param spans in any order where they are a list
 * @param windows in the order of time, apart from each other
 */
export function reportPhase(
  spans: readonly Span[] | MeasuredSpans,
  windows: readonly TimeWindow[],
  lanes: readonly LanePlace[] = localTopology.lanes,
): PhaseReport {
  const seconds = windows.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
  const deviceIdle = { weights: 0, attention: 0, draft: 0, nothing: 0 };
  // Idle time is counted on the lane that computes the target's layers; one that only drafts, or merges, may rest.
  const device = routesOf(lanes).computing('mix', 'device');
  const meters = new Map(
    lanes.map(({ name }) => [name, new LaneMeter(windows, name === device ? deviceIdle : null)]),
  );
  const inTime: MeasuredSpans = Array.isArray(spans) ? inOrder(spans) : spans;
  inTime.forEach((span) => {
    meters.get(span.lane)?.count(span);
  });
  const reports = lanes.map((lane) => [lane.name, meters.get(lane.name)?.report(lane, seconds)]);
  return { seconds, lanes: Object.fromEntries(reports), deviceIdle };
}

/** Adds up one lane's spans, which come in the order of their start. */
class LaneMeter {
  readonly #windows: readonly TimeWindow[];
  /** By window: until when spans have covered it. */
  readonly #coveredUntil: Float64Array;
  readonly #idle: Record<IdleCause, number> | null;
  #first = 0;
  #busySeconds = 0;
  #bytes = 0;
  #numTasks = 0;

  /** @param idle mutated: gets the gaps by what the span behind each waited for; null where nobody asks */
  constructor(windows: readonly TimeWindow[], idle: Record<IdleCause, number> | null) {
    this.#windows = windows;
    this.#coveredUntil = Float64Array.from(windows, ({ startSeconds }) => startSeconds);
    this.#idle = idle;
  }

  count(span: Measured): void {
    const windows = this.#windows;
    while (this.#first < windows.length && windows[this.#first].endSeconds < span.startSeconds)
      this.#first += 1;
    for (let index = this.#first; index < windows.length; index += 1) {
      const window = windows[index];
      if (window.startSeconds >= span.endSeconds) return;
      this.#cover(index, span, Math.min(span.endSeconds, window.endSeconds));
      if (span.endSeconds > window.endSeconds) continue;
      this.#numTasks += 1;
      this.#bytes += span.bytes;
    }
  }

  report(lane: LanePlace, phaseSeconds: number): LaneReport {
    if (this.#idle)
      for (const [index, { endSeconds }] of this.#windows.entries())
        this.#idle.nothing += endSeconds - this.#coveredUntil[index];
    return {
      busySeconds: this.#busySeconds,
      utilization: phaseSeconds > 0 ? this.#busySeconds / phaseSeconds : 0,
      bytes: isTransfer(lane) ? this.#bytes : 0,
      numTasks: this.#numTasks,
    };
  }

  #cover(window: number, span: Measured, end: number): void {
    const covered = this.#coveredUntil[window];
    const start = Math.max(span.startSeconds, covered);
    if (end <= start) return;
    this.#busySeconds += end - start;
    this.#coveredUntil[window] = end;
    if (!this.#idle || start === covered) return;
    const readySeconds = Math.min(Math.max(span.readySeconds, covered), start);
    this.#idle[span.waitedFor ?? 'nothing'] += readySeconds - covered;
    this.#idle.nothing += start - readySeconds;
  }
}

/** By start; the spans themselves where they are so already. */
function inOrder(spans: readonly Span[]): readonly Span[] {
  for (let index = 1; index < spans.length; index += 1)
    if (spans[index].startSeconds < spans[index - 1].startSeconds)
      return [...spans].sort((a, b) => a.startSeconds - b.startSeconds);
  return spans;
}

/** Time between one task's end and the next one's start on a lane that had work ready. */
export interface LaneGaps {
  readonly median: number;
  readonly p95: number;
  readonly count: number;
}

/**
 * The gaps of one lane, seconds. Counted where the next task was ready before the previous one ended; a lane that
 * takes several tasks at once has none while they overlap (gap 0).
 */
export function measureGaps(spans: readonly Span[], lane: LaneName): LaneGaps {
  const sorted = spans
    .filter((span) => span.lane === lane)
    .sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
  const gaps: number[] = [];
  let lastEnd = Number.NEGATIVE_INFINITY;
  for (const span of sorted) {
    if (span.readySeconds <= lastEnd) gaps.push(Math.max(0, span.startSeconds - lastEnd));
    lastEnd = Math.max(lastEnd, span.endSeconds);
  }
  gaps.sort((a, b) => a - b);
  const at = (fraction: number) => gaps[Math.min(gaps.length - 1, Math.floor(fraction * gaps.length))] ?? 0;
  return { median: at(0.5), p95: at(0.95), count: gaps.length };
}
