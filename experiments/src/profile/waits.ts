/** What passes on lanes between tasks: nothing is done, and whoever waits for the next one waits for that too. */

import type { LaneName, RunResult, Span } from '@specoffload/engine';

export interface LaneWaits {
  /** From a task's end to the start of one that was ready by then, seconds each. */
  readonly gaps: readonly number[];
  /** Where the lane had nothing to do: from the last end, on whichever lane, before a task was ready, to its start. */
  readonly wakes: readonly number[];
}

export function measureWaits(
  runs: readonly Pick<RunResult, 'spans' | 'policy'>[],
  lane: LaneName,
): LaneWaits {
  // Tasks in between the layers of a draft step overlap with it, and leave no gap that says anything.
  const waits = runs
    .filter(({ policy }) => policy.speculation !== 'interleaved')
    .map(({ spans }) => waitsIn(spans, lane));
  return { gaps: waits.flatMap(({ gaps }) => gaps), wakes: waits.flatMap(({ wakes }) => wakes) };
}

function waitsIn(spans: readonly Span[], lane: LaneName): LaneWaits {
  const ends = Float64Array.from(spans, ({ endSeconds }) => endSeconds).sort();
  const own = spans
    .filter((span) => span.lane === lane && span.phase === 'decode')
    .sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
  const gaps: number[] = [];
  const wakes: number[] = [];
  let lastEnd = own[0]?.endSeconds ?? 0;
  for (const { readySeconds, startSeconds, endSeconds } of own.slice(1)) {
    if (readySeconds <= lastEnd) gaps.push(Math.max(0, startSeconds - lastEnd));
    else wakes.push(startSeconds - Math.max(lastEnd, lastUntil(ends, readySeconds)));
    lastEnd = Math.max(lastEnd, endSeconds);
  }
  return { gaps, wakes };
}

/** The last of the ascending times that is not later. */
function lastUntil(times: Float64Array, time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? Number.NEGATIVE_INFINITY : times[low - 1];
}
