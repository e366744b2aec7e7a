/** Spans and memory as a Chrome trace, which Perfetto (ui.perfetto.dev) and chrome://tracing open. */

import type { MemoryName } from '../topology/topology.js';
import { lanesOf } from './lanes.js';
import type { MemoryOverTime } from './memory.js';
import type { Span } from './types.js';

/** The JSON object of the trace event format. Source: "Trace Event Format", Google, 2016. Times are microseconds. */
export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly Readonly<Record<string, unknown>>[];
}

/** Lanes are this far apart in the numbers of rows. */
export const rowsPerLane = 100;

/** The counter that shows a memory. */
function counterOf(memory: MemoryName): string {
  return `${memory} memory`;
}

/** The memory that a counter shows; undefined for what shows none. */
export function memoryOfCounter(name: unknown): MemoryName | undefined {
  return typeof name === 'string' ? /^([A-Za-z][\w-]*) memory$/.exec(name)?.[1] : undefined;
}

/**
 * One row per lane; where tasks of a lane overlap (reads in flight), each of them gets a row of its own. One counter
 * per pool, where memory is given. `parseChromeTrace` reads it back.
 */
export function toChromeTrace(
  spans: readonly Span[],
  memory: MemoryOverTime | null = null,
  processName = 'specoffload',
): ChromeTrace {
  const events: Record<string, unknown>[] = [
    { name: 'process_name', ph: 'M', pid: 1, tid: 0, args: { name: processName } },
  ];
  for (const [laneIndex, lane] of lanesOf(spans).entries()) {
    const rowEnds: number[] = [];
    const sorted = spans
      .filter((span) => span.lane === lane)
      .sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
    for (const span of sorted) {
      const free = rowEnds.findIndex((end) => end <= span.startSeconds);
      const row = free === -1 ? rowEnds.length : free;
      rowEnds[row] = span.endSeconds;
      events.push(toEvent(span, laneIndex * rowsPerLane + row));
    }
    for (const row of rowEnds.keys()) {
      const name = row === 0 ? lane : `${lane} (${row + 1})`;
      const tid = laneIndex * rowsPerLane + row;
      events.push({ name: 'thread_name', ph: 'M', pid: 1, tid, args: { name } });
      events.push({ name: 'thread_sort_index', ph: 'M', pid: 1, tid, args: { sort_index: tid } });
    }
  }
  if (memory)
    for (const [name, steps] of Object.entries(memory))
      for (const { seconds, bytes } of steps)
        events.push({ ...counter, name: counterOf(name), ts: seconds * 1e6, args: { bytes } });
  return { displayTimeUnit: 'ms', traceEvents: events };
}

const counter = { ph: 'C', pid: 1, tid: 0 };

function toEvent(span: Span, tid: number): Record<string, unknown> {
  const { id, name, kind, phase, pass, batch, bytes, rows, flops, readySeconds, startSeconds, endSeconds } =
    span;
  const { waitedFor = 'nothing' } = span;
  return {
    ...{ name, cat: kind, ph: 'X', pid: 1, tid },
    ts: startSeconds * 1e6,
    dur: (endSeconds - startSeconds) * 1e6,
    args: {
      ...{ id, phase, pass, batch, bytes, rows, flops, waitedFor },
      waitedMicroseconds: (startSeconds - readySeconds) * 1e6,
    },
  };
}
