/** A Chrome trace that this project wrote, back to spans and memory. */

import { isRecord, type JsonRecord, quote, UserError } from '@specoffload/input';
import { type LaneName, taskKinds } from '../topology/topology.js';
import { counterName, rowsPerLane } from './chrome.js';
import { laneNames } from './lanes.js';
import { type MemoryOverTime, type MemoryStep, type PoolName, poolNames } from './memory.js';
import { idleCauses, phaseNames, type Span } from './types.js';

export interface ParsedTrace {
  /** Ordered by start. */
  readonly spans: readonly Span[];
  /** Empty in traces that were written without. */
  readonly memory: MemoryOverTime;
}

/**
 * Reads what `toChromeTrace` has written. Events of other kinds are passed over.
 * @param source names the trace in messages
 * @throws UserError naming the event and the field that is not what it should be.
 */
export function parseChromeTrace(json: unknown, source = 'the trace'): ParsedTrace {
  const events = isRecord(json) ? json.traceEvents : undefined;
  if (!Array.isArray(events))
    throw new UserError(
      `${source} is no Chrome trace: expected an object with traceEvents; give a trace.json.gz that specoffload wrote, unpacked`,
    );
  const lanes = readLanes(events);
  const spans: Span[] = [];
  const memory: Record<PoolName, MemoryStep[]> = { device: [], host: [] };
  for (const [index, event] of events.entries()) {
    if (!isRecord(event)) continue;
    const fields = new EventFields(event, `${source}, event ${index}`);
    if (event.ph === 'X') spans.push(toSpan(fields, spans.length, lanes));
    const pool = poolNames.find((name) => event.ph === 'C' && event.name === counterName(name));
    if (pool) memory[pool].push({ seconds: fields.number('ts') / 1e6, bytes: fields.args.amount('bytes') });
  }
  spans.sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
  return { spans, memory };
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

/** Traces of earlier versions have neither ids nor operations nor causes. */
function toSpan(event: EventFields, index: number, lanes: readonly LaneName[]): Span {
  const { args } = event;
  const startSeconds = event.number('ts') / 1e6;
  return {
    id: args.number('id', index),
    lane: lanes[Math.floor(event.number('tid') / rowsPerLane)] ?? event.refuse('tid', 'a row of a lane'),
    kind: event.word('cat', taskKinds),
    name: event.text('name'),
    phase: args.word('phase', phaseNames),
    pass: args.number('pass'),
    batch: args.number('batch'),
    bytes: args.amount('bytes'),
    rows: args.amount('rows'),
    flops: args.amount('flops', 0),
    readySeconds: startSeconds - args.number('waitedMicroseconds', 0) / 1e6,
    startSeconds,
    endSeconds: startSeconds + event.amount('dur') / 1e6,
    waitedFor: args.word('waitedFor', idleCauses, 'nothing'),
  };
}

/** Reads an event's fields and refuses what they should not be. */
class EventFields {
  readonly #fields: JsonRecord;
  readonly #where: string;

  constructor(fields: JsonRecord, where: string) {
    this.#fields = fields;
    this.#where = where;
  }

  get args(): EventFields {
    const { args } = this.#fields;
    return isRecord(args)
      ? new EventFields(args, `${this.#where}, args`)
      : this.refuse('args', 'an object of fields');
  }

  /** @param fallback for a field that may be missing */
  number(field: string, fallback?: number): number {
    const value = this.#fields[field] ?? fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : this.refuse(field, 'a number');
  }

  /** What cannot be less than nothing. @param fallback for a field that may be missing */
  amount(field: string, fallback?: number): number {
    const value = this.number(field, fallback);
    return value >= 0 ? value : this.refuse(field, 'a number of at least 0');
  }

  text(field: string): string {
    const value = this.#fields[field];
    return typeof value === 'string' ? value : this.refuse(field, 'a text');
  }

  /** @param fallback for a field that may be missing */
  word<Word extends string>(field: string, words: readonly Word[], fallback?: Word): Word {
    const value = this.#fields[field] ?? fallback;
    return words.find((word) => word === value) ?? this.refuse(field, words.join(' or '));
  }

  refuse(field: string, expected: string): never {
    throw new UserError(
      `${this.#where}: invalid ${field}: ${quote(this.#fields[field])}; expected ${expected}; give a trace that specoffload wrote`,
    );
  }
}
