/** Tasks as they were seen, taken together where they were asked for the same. */

import type { LaneName, Span } from '@specoffload/engine';
import { typicalMean } from './fit.js';

/** Fewer observations of a kind than this say nothing. */
export const leastObservations = 8;

export function durationOf({ startSeconds, endSeconds }: Span): number {
  return endSeconds - startSeconds;
}

/** Mean duration of spans that were asked for the same. */
export function meansBy<Key>(spans: readonly Span[], keyOf: (span: Span) => Key) {
  const groups = new Map<Key, Span[]>();
  for (const span of spans) {
    const key = keyOf(span);
    const group = groups.get(key);
    if (group) group.push(span);
    else groups.set(key, [span]);
  }
  return [...groups].map(([key, group]) => ({
    key,
    span: group[0],
    seconds: typicalMean(group.map(durationOf)),
    durations: group.map(durationOf),
  }));
}

/** One run's tasks on a lane: those that no other lane was at work beside as they began, and the rest. */
export function byCompany(
  spans: readonly Span[],
  lane: LaneName,
): { readonly alone: readonly Span[]; readonly among: readonly Span[] } {
  const others = workTimes(spans.filter((span) => span.lane !== lane));
  const own = spans.filter((span) => span.lane === lane);
  const isAlone = ({ startSeconds }: Span) => !isAtWork(others, startSeconds);
  return { alone: own.filter(isAlone), among: own.filter((span) => !isAlone(span)) };
}

/** Whether a task of the lane, in that run, began beside others. */
export function companyOn(spans: readonly Span[], lane: LaneName): (span: Span) => string {
  const alone = new Set(byCompany(spans, lane).alone);
  return (span) => (alone.has(span) ? 'alone' : 'among');
}

/** Stretches, in order, in which something was done. */
interface WorkTimes {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

function workTimes(spans: readonly Span[]): WorkTimes {
  const [starts, ends]: [number[], number[]] = [[], []];
  for (const { startSeconds, endSeconds } of [...spans].sort((a, b) => a.startSeconds - b.startSeconds)) {
    const last = ends.length - 1;
    if (last >= 0 && startSeconds <= ends[last]) ends[last] = Math.max(ends[last], endSeconds);
    else {
      starts.push(startSeconds);
      ends.push(endSeconds);
    }
  }
  return { starts, ends };
}

function isAtWork({ starts, ends }: WorkTimes, time: number): boolean {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low > 0 && time < ends[low - 1];
}
