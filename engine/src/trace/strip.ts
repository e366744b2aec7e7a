/** A stretch of a run as text: one row per lane, one character per slice of time, darker where the lane is busier. */

import { largest, smallest } from '../extremes.js';
import { isTargetOnDevice, lanesOf } from './lanes.js';
import type { TimeWindow } from './report.js';
import type { Span } from './types.js';

export interface StripRow {
  /** A lane's name; the draft's share of the device has a row of its own. */
  readonly name: string;
  readonly text: string;
}

const shades = [' ', '░', '▒', '▓', '█'];

/** From the first to the last target task of passes `first` to `last`; null when no such pass was run. */
export function windowOfPasses(spans: readonly Span[], first: number, last: number): TimeWindow | null {
  const chosen = spans.filter((span) => isTargetOnDevice(span) && first <= span.pass && span.pass <= last);
  if (chosen.length === 0) return null;
  return {
    startSeconds: smallest(chosen.map(({ startSeconds }) => startSeconds)),
    endSeconds: largest(chosen.map(({ endSeconds }) => endSeconds)),
  };
}

/** @param columns characters per row, at least 1 */
export function drawStrip(spans: readonly Span[], window: TimeWindow, columns: number): StripRow[] {
  const isDraft = ({ kind }: Span) => kind === 'draft';
  const rows = lanesOf(spans).map((lane) => ({
    name: lane,
    spans: spans.filter((span) => span.lane === lane && !isDraft(span)),
  }));
  const draft = spans.filter(isDraft);
  if (draft.length > 0) rows.push({ name: 'draft', spans: draft });
  return rows.map(({ name, spans: members }) => ({ name, text: drawRow(members, window, columns) }));
}

function drawRow(spans: readonly Span[], { startSeconds, endSeconds }: TimeWindow, columns: number): string {
  const sliceSeconds = (endSeconds - startSeconds) / columns;
  const busySeconds = new Float64Array(columns);
  let coveredUntil = startSeconds; // spans of one lane may overlap; a moment counts once
  for (const span of [...spans].sort((a, b) => a.startSeconds - b.startSeconds)) {
    const start = Math.max(span.startSeconds, coveredUntil);
    const end = Math.min(span.endSeconds, endSeconds);
    if (start >= end) continue;
    coveredUntil = end;
    const firstSlice = Math.floor((start - startSeconds) / sliceSeconds);
    const lastSlice = Math.min(columns - 1, Math.floor((end - startSeconds) / sliceSeconds));
    for (let slice = firstSlice; slice <= lastSlice; slice += 1) {
      const sliceStart = startSeconds + slice * sliceSeconds;
      const overlap = Math.min(end, sliceStart + sliceSeconds) - Math.max(start, sliceStart);
      busySeconds[slice] += Math.max(0, overlap);
    }
  }
  return Array.from(busySeconds, (busy) => shadeOf(busy / sliceSeconds)).join('');
}

/** Blank only where nothing happened at all, full only where no more than rounding is missing. */
function shadeOf(fraction: number): string {
  if (fraction <= 0) return shades[0];
  if (fraction > 0.97) return shades[4];
  return shades[1 + Math.min(2, Math.floor(fraction * 3))];
}
