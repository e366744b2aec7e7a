/**
 * A run's spans in columns. Predictions write thousands each, and are mostly asked for totals: as objects they would
 * outlive the young objects that a collector is quick with, and were half of what it copied.
 */

import type { Measured, MeasuredSpans } from './report.js';
import type { IdleCause, Span, TaskLabel } from './types.js';

/** Places in a span's row of numbers. */
const [id, pass, batch, bytes, rows, flops, readySeconds, startSeconds, endSeconds, numFields] = [
  ...Array(10).keys(),
];
const spansAtFirst = 1024;

type OpenMeasured = { -readonly [Field in keyof Measured]: Measured[Field] };

/** What a task turned out to be. */
export interface TaskCounts {
  readonly bytes: number;
  readonly rows: number;
  readonly flops: number;
  readonly readySeconds: number;
  readonly waitedFor: IdleCause;
}

export class SpanLog {
  #length = 0;
  /** (span, field) */
  #numbers = new Float64Array(spansAtFirst * numFields);
  readonly #lanes: Span['lane'][] = [];
  readonly #kinds: Span['kind'][] = [];
  readonly #names: string[] = [];
  readonly #phases: Span['phase'][] = [];
  readonly #causes: IdleCause[] = [];

  /** Spans so far. */
  get length(): number {
    return this.#length;
  }

  add(label: TaskLabel, counts: TaskCounts, start: number, end: number): void {
    const at = this.#length * numFields;
    if (at === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    numbers[at + id] = label.id;
    numbers[at + pass] = label.pass;
    numbers[at + batch] = label.batch;
    numbers[at + bytes] = counts.bytes;
    numbers[at + rows] = counts.rows;
    numbers[at + flops] = counts.flops;
    numbers[at + readySeconds] = Math.min(counts.readySeconds, start);
    numbers[at + startSeconds] = start;
    numbers[at + endSeconds] = end;
    this.#lanes.push(label.lane);
    this.#kinds.push(label.kind);
    this.#names.push(label.name);
    this.#phases.push(label.phase);
    this.#causes.push(counts.waitedFor);
    this.#length += 1;
  }

  #grow(): void {
    const wider = new Float64Array(2 * this.#numbers.length);
    wider.set(this.#numbers);
    this.#numbers = wider;
  }

  clear(): void {
    this.#length = 0;
    for (const words of [this.#lanes, this.#kinds, this.#names, this.#phases, this.#causes]) words.length = 0;
  }

  at(index: number): Span {
    const numbers = this.#numbers;
    const at = index * numFields;
    return {
      id: numbers[at + id],
      lane: this.#lanes[index],
      kind: this.#kinds[index],
      name: this.#names[index],
      phase: this.#phases[index],
      pass: numbers[at + pass],
      batch: numbers[at + batch],
      bytes: numbers[at + bytes],
      rows: numbers[at + rows],
      flops: numbers[at + flops],
      readySeconds: numbers[at + readySeconds],
      startSeconds: numbers[at + startSeconds],
      endSeconds: numbers[at + endSeconds],
      waitedFor: this.#causes[index],
    };
  }

  /** From the `first` on, in the order of their adding. */
  listFrom(first: number): Span[] {
    return Array.from({ length: this.#length - first }, (_, index) => this.at(first + index));
  }

  /** The same, to be measured. */
  from(first: number): LoggedSpans {
    return new LoggedSpans(this, first, this.#length);
  }

  /** Whether the second of two spans began later; of those that began together, whether it has the higher number. */
  isBehind(index: number, other: number): boolean {
    const numbers = this.#numbers;
    const start = numbers[index * numFields + startSeconds];
    const otherStart = numbers[other * numFields + startSeconds];
    if (start !== otherStart) return otherStart > start;
    return numbers[other * numFields + id] > numbers[index * numFields + id];
  }

  laneOf(index: number): Span['lane'] {
    return this.#lanes[index];
  }

  /** Mutates `into`: a reader's one object for all. */
  readInto(into: OpenMeasured, index: number): void {
    const numbers = this.#numbers;
    const at = index * numFields;
    into.lane = this.#lanes[index];
    into.phase = this.#phases[index];
    into.bytes = numbers[at + bytes];
    into.flops = numbers[at + flops];
    into.readySeconds = numbers[at + readySeconds];
    into.startSeconds = numbers[at + startSeconds];
    into.endSeconds = numbers[at + endSeconds];
    into.waitedFor = this.#causes[index];
  }
}

/** Some of a log's, whatever is added behind them. */
export class LoggedSpans implements MeasuredSpans {
  readonly #log: SpanLog;
  readonly #first: number;
  readonly #end: number;

  constructor(log: SpanLog, first: number, end: number) {
    this.#log = log;
    this.#first = first;
    this.#end = end;
  }

  /**
   * Those of a lane in the order of their start.
   * @param visit may not hold on to its argument, which is the same each time
   */
  forEach(visit: (span: Measured) => void): void {
    // Fractions, so that its fields are numbers of that kind from the start.
    const span: OpenMeasured = {
      lane: '',
      phase: 'decode',
      waitedFor: 'nothing',
      bytes: 0.5,
      flops: 0.5,
      readySeconds: 0.5,
      startSeconds: 0.5,
      endSeconds: 0.5,
    };
    for (const order of this.#placesByLane())
      for (const index of order) {
        this.#log.readInto(span, index);
        visit(span);
      }
  }

  /** In the order of their start, whatever their lane. */
  toArray(): Span[] {
    return Array.from(this.#byStart(), (index) => this.#log.at(index));
  }

  /** Places in the log, of each lane by start. */
  #placesByLane(): Iterable<readonly number[]> {
    const lanes = new Map<Span['lane'], number[]>();
    for (let index = this.#first; index < this.#end; index += 1) {
      const lane = this.#log.laneOf(index);
      const order = lanes.get(lane) ?? [];
      if (order.length === 0) lanes.set(lane, order);
      // A lane ends tasks nearly as it began them, so each finds its place after a few steps.
      let place = order.length;
      for (; place > 0 && this.#log.isBehind(index, order[place - 1]); place -= 1)
        order[place] = order[place - 1];
      order[place] = index;
    }
    return lanes.values();
  }

  /** Places in the log. */
  #byStart(): Uint32Array {
    const order = Uint32Array.from({ length: this.#end - this.#first }, (_, place) => this.#first + place);
    return order.sort((a, b) => (this.#log.isBehind(a, b) ? -1 : 1));
  }
}
