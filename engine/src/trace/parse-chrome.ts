/** A Chrome trace that this project wrote, back to spans and memory. */

import { type Checked, check, is, isRecord } from '@specoffload/input';
import { type LaneName, taskKinds } from '../topology/topology.js';
import { memoryOfCounter, rowsPerLane } from './chrome.js';
import { laneNames } from './lanes.js';
import type { MemoryOverTime, MemoryStep } from './memory.js';
import { idleCauses, phaseNames, type Span } from './types.js';

export interface ParsedTrace {
  /** Ordered by start. */
  readonly spans: readonly Span[];
  /** Empty in traces that were written without. */
  readonly memory: MemoryOverTime;
}

const words = { remedy: 'give a trace.json.gz that specoffload wrote, unpacked' };

const file = is.picked({ traceEvents: is.listOf(is.anything, { expected: 'a list of events' }) });

const counter = is.picked({ ts: is.number, args: is.picked({ bytes: is.amount }) });

/** Traces of earlier versions have neither ids nor operations nor causes. */
const durationOn = (lanes: readonly LaneName[]) =>
  is.picked({
    ts: is.number,
    dur: is.amount,
    tid: is.readAs(
      (tid) => lanes[Math.floor(typeof tid === 'number' ? tid / rowsPerLane : -1)],
      'a row of a lane',
    ),
    cat: is.oneOf(taskKinds),
    name: is.anyText,
    args: is.picked({
      id: is.orMissing(is.number),
      phase: is.oneOf(phaseNames),
      pass: is.number,
      batch: is.number,
      bytes: is.amount,
      rows: is.amount,
      flops: is.orElse(is.amount, 0),
      waitedMicroseconds: is.orElse(is.number, 0),
      waitedFor: is.orElse(is.oneOf(idleCauses), 'nothing'),
    }),
  });

/**
 * Reads what `toChromeTrace` has written. Events of other kinds are passed over.
 * @param source names the trace in messages
 * @throws UserError naming the event and the field that is not what it should be.
 */
export function parseChromeTrace(json: unknown, source = 'the trace'): ParsedTrace {
  const { traceEvents } = check(file, json, source, words);
  const duration = durationOn(readLanes(traceEvents));
  const spans: Span[] = [];
  const [device, host]: readonly MemoryStep[][] = [[], []];
  const memory = new Map([
    ['device', device],
    ['host', host],
  ]);
  for (const [index, event] of traceEvents.entries()) {
    if (!isRecord(event)) continue;
    const where = `${source}, event ${index}`;
    if (event.ph === 'X') spans.push(toSpan(check(duration, event, where, words), spans.length));
    const counted = event.ph === 'C' ? memoryOfCounter(event.name) : undefined;
    if (counted === undefined) continue;
    const { ts, args } = check(counter, event, where, words);
    const step = { seconds: ts / 1e6, bytes: args.bytes };
    const steps = memory.get(counted);
    if (steps) steps.push(step);
    else memory.set(counted, [step]);
  }
  spans.sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
  return { spans, memory: { ...Object.fromEntries(memory), device, host } };
}

/** The names of the rows, by lane: `disk` where the rows of the first lane are called `disk`, `disk (2)`, …. */
function readLanes(events: readonly unknown[]): readonly LaneName[] {
  const lanes = [...laneNames];
  for (const event of events) {
    if (!(isRecord(event) && event.name === 'thread_name' && isRecord(event.args))) continue;
    const { tid, args } = event;
    if (typeof tid === 'number' && tid % rowsPerLane === 0 && typeof args.name === 'string')
      lanes[tid / rowsPerLane] = args.name;
  }
  return lanes;
}

function toSpan(
  { ts, dur, tid: lane, cat: kind, name, args }: Checked<ReturnType<typeof durationOn>>,
  index: number,
): Span {
  const startSeconds = ts / 1e6;
  return {
    id: args.id ?? index,
    lane,
    kind,
    name,
    phase: args.phase,
    pass: args.pass,
    batch: args.batch,
    bytes: args.bytes,
    rows: args.rows,
    flops: args.flops,
    readySeconds: startSeconds - args.waitedMicroseconds / 1e6,
    startSeconds,
    endSeconds: startSeconds + dur / 1e6,
    waitedFor: args.waitedFor,
  };
}
