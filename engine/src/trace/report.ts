/** From spans to numbers: busy time, utilisation and gaps of each lane. */

import { type LaneName, type LaneReport, laneNames, type PhaseReport, type Span } from './types.js';

/** A stretch of time that belongs to a phase; a run with several waves has several per phase. */
export interface TimeWindow {
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** One phase's lanes. A span counts where it overlaps the windows; spans of one lane that overlap count once. */
export function reportPhase(spans: readonly Span[], windows: readonly TimeWindow[]): PhaseReport {
  const seconds = windows.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
  const lanes = Object.fromEntries(
    laneNames.map((lane) => [
      lane,
      reportLane(
        spans.filter((span) => span.lane === lane),
        windows,
        seconds,
      ),
    ]),
  ) as Record<LaneName, LaneReport>;
  return { seconds, lanes };
}

function reportLane(
  spans: readonly Span[],
  windows: readonly TimeWindow[],
  phaseSeconds: number,
): LaneReport {
  const sorted = [...spans].sort((a, b) => a.startSeconds - b.startSeconds);
  let busySeconds = 0;
  let bytes = 0;
  let numTasks = 0;
  for (const window of windows) {
    let coveredUntil = window.startSeconds;
    for (const span of sorted) {
      const start = Math.max(span.startSeconds, coveredUntil);
      const end = Math.min(span.endSeconds, window.endSeconds);
      if (end > start) {
        busySeconds += end - start;
        coveredUntil = end;
      }
      if (window.startSeconds < span.endSeconds && span.endSeconds <= window.endSeconds) {
        numTasks += 1;
        if (span.lane === 'disk' || span.lane === 'link') bytes += span.bytes;
      }
    }
  }
  return { busySeconds, utilization: phaseSeconds > 0 ? busySeconds / phaseSeconds : 0, bytes, numTasks };
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
