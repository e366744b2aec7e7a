import {
  causeOf,
  type IdleCause,
  localTopology,
  measureGaps,
  memoryOverTime,
  parseChromeTrace,
  reportPhase,
  type Span,
  toChromeTrace,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';

/** A span of one lane from `startSeconds` to `endSeconds`, ready when it started. */
function span(id: number, startSeconds: number, endSeconds: number, changes: Partial<Span> = {}): Span {
  return {
    ...{ id, startSeconds, endSeconds, readySeconds: startSeconds },
    ...{ lane: 'disk', kind: 'load', name: `load ${id}`, phase: 'decode', pass: 0, batch: -1 },
    bytes: 100,
    rows: 0,
    flops: 0,
    ...changes,
  };
}

const wholeRun = [{ startSeconds: 0, endSeconds: 10 }];

describe('reportPhase', () => {
  it.each<{ title: string; spans: [number, number][]; windows: [number, number][]; busySeconds: number }>([
    { title: 'nothing', spans: [], windows: [[0, 10]], busySeconds: 0 },
    {
      title: 'spans side by side',
      spans: [
        [1, 2],
        [4, 6],
      ],
      windows: [[0, 10]],
      busySeconds: 3,
    },
    {
      title: 'an overlap once',
      spans: [
        [1, 4],
        [2, 6],
      ],
      windows: [[0, 10]],
      busySeconds: 5,
    },
    {
      title: 'a span within another once',
      spans: [
        [1, 6],
        [2, 3],
        [5, 7],
      ],
      windows: [[0, 10]],
      busySeconds: 6,
    },
    {
      title: 'only what lies in the window',
      spans: [
        [-1, 2],
        [9, 12],
        [20, 30],
      ],
      windows: [[0, 10]],
      busySeconds: 3,
    },
    {
      title: 'several windows',
      spans: [[1, 7]],
      windows: [
        [0, 2],
        [4, 5],
        [6, 10],
      ],
      busySeconds: 3,
    },
  ])('counts $title', ({ spans, windows, busySeconds }) => {
    const report = reportPhase(
      spans.map(([start, end], id) => span(id, start, end)),
      windows.map(([startSeconds, endSeconds]) => ({ startSeconds, endSeconds })),
    );
    const seconds = windows.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(report.seconds).toBe(seconds);
    expect(report.lanes.disk.busySeconds).toBeCloseTo(busySeconds, 12);
    expect(report.lanes.disk.utilization).toBeCloseTo(busySeconds / seconds, 12);
  });

  it('counts tasks and bytes where they end, once', () => {
    const spans = [span(0, 1, 2), span(1, 1, 5, { bytes: 7 }), span(2, 4, 12)];
    const { disk } = reportPhase(spans, [{ startSeconds: 0, endSeconds: 5 }]).lanes;
    expect(disk).toMatchObject({ numTasks: 2, bytes: 107 });
    const next = reportPhase(spans, [{ startSeconds: 5, endSeconds: 12 }]).lanes.disk;
    expect(next).toMatchObject({ numTasks: 1, bytes: 100 });
  });

  it('keeps lanes apart and reports no bytes for those that compute', () => {
    const { lanes } = reportPhase(
      [span(0, 0, 1), span(1, 0, 5, { lane: 'device', kind: 'expert', bytes: 9 })],
      wholeRun,
    );
    expect(lanes.disk).toEqual({ busySeconds: 1, utilization: 0.1, bytes: 100, numTasks: 1 });
    expect(lanes.device).toEqual({ busySeconds: 5, utilization: 0.5, bytes: 0, numTasks: 1 });
    expect(lanes.host).toEqual({ busySeconds: 0, utilization: 0, bytes: 0, numTasks: 0 });
  });

  it('of no time is idle, not NaN', () => {
    expect(reportPhase([span(0, 0, 1)], []).lanes.disk.utilization).toBe(0);
  });
});

describe("the device's idle time", () => {
  /** A task on the device, ready when it started. */
  const work = (
    startSeconds: number,
    endSeconds: number,
    waitedFor: IdleCause,
    changes: Partial<Span> = {},
  ) =>
    span(startSeconds, startSeconds, endSeconds, { lane: 'device', kind: 'expert', waitedFor, ...changes });

  it.each<{ title: string; spans: Span[]; idle: Partial<Record<IdleCause, number>> }>([
    { title: 'all of it, where nothing ran', spans: [], idle: { nothing: 10 } },
    {
      title: 'each gap by what the task behind it waited for, the last one to nothing',
      spans: [work(1, 2, 'weights'), work(4, 5, 'attention'), work(5, 6, 'weights'), work(6.5, 8, 'draft')],
      idle: { weights: 1, attention: 2, draft: 0.5, nothing: 2 },
    },
    {
      title: 'only the wait: what is ready and does not start waits for nothing',
      spans: [work(3, 10, 'weights', { readySeconds: 1 })],
      idle: { weights: 1, nothing: 2 },
    },
    {
      title: 'no wait while the device was busy with something else',
      spans: [work(0, 5, 'nothing'), work(5, 10, 'weights', { readySeconds: 4 })],
      idle: {},
    },
    {
      title: 'not the time within a span that covers others',
      spans: [work(0, 8, 'nothing'), work(2, 3, 'weights'), work(9, 10, 'attention')],
      idle: { attention: 1 },
    },
    { title: 'nothing of other lanes', spans: [span(0, 2, 9), work(0, 10, 'nothing')], idle: {} },
    {
      title: 'a span that says nothing as nothing',
      spans: [span(0, 4, 10, { lane: 'device' })],
      idle: { nothing: 4 },
    },
  ])('counts $title', ({ spans, idle }) => {
    const report = reportPhase(spans, wholeRun);
    expect(report.deviceIdle).toEqual({ weights: 0, attention: 0, draft: 0, nothing: 0, ...idle });
  });

  it('that ends with its phase is not charged to the next one', () => {
    const spans = [work(0, 1, 'nothing'), work(7, 10, 'weights')];
    const phase = (startSeconds: number, endSeconds: number) =>
      reportPhase(spans, [{ startSeconds, endSeconds }]).deviceIdle;
    expect(phase(0, 4)).toMatchObject({ weights: 0, nothing: 3 });
    expect(phase(4, 10)).toMatchObject({ weights: 3, nothing: 0 });
  });

  it.each<[Pick<Span, 'lane' | 'kind'>, IdleCause]>([
    [{ lane: 'disk', kind: 'load' }, 'weights'],
    [{ lane: 'link', kind: 'upload' }, 'weights'],
    [{ lane: 'host', kind: 'expert' }, 'weights'],
    [{ lane: 'host', kind: 'attention' }, 'attention'],
    [{ lane: 'link', kind: 'fetch' }, 'attention'],
    [{ lane: 'link', kind: 'store' }, 'attention'],
    [{ lane: 'host', kind: 'realign' }, 'attention'],
    [{ lane: 'device', kind: 'draft' }, 'draft'],
    [{ lane: 'device', kind: 'attention' }, 'nothing'],
    [{ lane: 'device', kind: 'expert' }, 'nothing'],
  ])('behind %j is a wait for %s', (task, cause) => {
    const lane = localTopology.lanes.find(({ name }) => name === task.lane)!;
    expect(causeOf(task, lane)).toBe(cause);
  });
});

describe('memoryOverTime', () => {
  it('adds buffers in use to what stays, and counts a buffer that is handed on once', () => {
    const memory = memoryOverTime({
      resident: {
        device: [
          { seconds: 0, bytes: 100 },
          { seconds: 5, bytes: 300 },
        ],
        host: [{ seconds: 0, bytes: 7 }],
      },
      buffers: [
        { pool: 'device', bytes: 10, startSeconds: 3, endSeconds: 6 },
        { pool: 'device', bytes: 10, startSeconds: 1, endSeconds: 3 },
        { pool: 'device', bytes: 20, startSeconds: 2, endSeconds: 5 },
        { pool: 'host', bytes: 1, startSeconds: 0, endSeconds: 4 },
      ],
    });
    const steps = memory.device.map(({ seconds, bytes }) => [seconds, bytes]);
    expect(steps).toEqual([
      [0, 100],
      [1, 110],
      [2, 130], // at 3 one buffer takes another's place
      [5, 310],
      [6, 300],
    ]);
    expect(memory.host).toEqual([
      { seconds: 0, bytes: 8 },
      { seconds: 4, bytes: 7 },
    ]);
  });
});

describe('measureGaps', () => {
  it('counts from one end to the next start where work was ready', () => {
    const spans = [
      span(0, 0, 1),
      span(1, 1.25, 2, { readySeconds: 0.5 }),
      span(2, 5, 6, { readySeconds: 4 }), // not ready when the one before ended
      span(3, 6.5, 7, { readySeconds: 6 }),
    ];
    expect(measureGaps(spans, 'disk')).toEqual({ median: 0.5, p95: 0.5, count: 2 });
    expect(measureGaps(spans, 'link')).toEqual({ median: 0, p95: 0, count: 0 });
  });

  it('is 0 while tasks overlap, and measured from the last end of all', () => {
    const spans = [
      span(0, 0, 10),
      span(1, 1, 2, { readySeconds: 0 }),
      span(2, 10.5, 11, { readySeconds: 2 }),
    ];
    expect(measureGaps(spans, 'disk')).toEqual({ median: 0.5, p95: 0.5, count: 2 });
    expect(measureGaps(spans.slice(0, 2), 'disk').median).toBe(0);
  });

  it('does not mind the order of the spans', () => {
    const spans = Array.from({ length: 40 }, (_, id) =>
      span(id, id * 2, id * 2 + 1.5 + id / 100, { readySeconds: id * 2 - 1 }),
    );
    expect(measureGaps([...spans].reverse(), 'disk')).toEqual(measureGaps(spans, 'disk'));
    const { median, p95 } = measureGaps(spans, 'disk');
    expect(median).toBeCloseTo(0.31, 9); // gaps are 0.12 to 0.5, in steps of 0.01
    expect(p95).toBeCloseTo(0.49, 9);
  });
});

describe('toChromeTrace', () => {
  const spans = [
    span(3, 2, 3),
    span(1, 0, 2, { readySeconds: -0.5 }),
    span(2, 1, 2.5),
    span(4, 1, 2, { lane: 'device', kind: 'expert', name: 'layer.0.expert.1', batch: 1, rows: 6 }),
  ];
  const { traceEvents, displayTimeUnit } = toChromeTrace(spans, null, 'a run');
  const complete = traceEvents.filter(({ ph }) => ph === 'X');

  it('gives times in microseconds', () => {
    expect(displayTimeUnit).toBe('ms');
    expect(complete.find(({ name }) => name === 'load 1')).toEqual({
      ...{ name: 'load 1', cat: 'load', ph: 'X', pid: 1, tid: 0, ts: 0, dur: 2e6 },
      args: {
        ...{ id: 1, phase: 'decode', pass: 0, batch: -1, bytes: 100, rows: 0, flops: 0 },
        ...{ waitedFor: 'nothing', waitedMicroseconds: 0.5e6 },
      },
    });
  });

  it('puts overlapping spans of a lane on rows of their own, and reuses rows', () => {
    const tids = Object.fromEntries(complete.map(({ name, tid }) => [name, tid]));
    expect(tids).toEqual({ 'load 1': 0, 'load 2': 1, 'load 3': 0, 'layer.0.expert.1': 300 });
    const ends = new Map<unknown, number>();
    for (const { tid, ts, dur } of complete as { tid: number; ts: number; dur: number }[]) {
      expect(ts).toBeGreaterThanOrEqual(ends.get(tid) ?? 0);
      ends.set(tid, ts + dur);
    }
  });

  it('sorts the events of a lane by start', () => {
    expect(complete.map(({ name }) => name)).toEqual(['load 1', 'load 2', 'load 3', 'layer.0.expert.1']);
    expect(spans[0].id, 'the caller keeps the order of the spans').toBe(3);
  });

  it('names the process and every row', () => {
    const names = traceEvents.filter(({ name }) => name === 'thread_name').map(({ args }) => args);
    expect(names).toEqual([{ name: 'disk' }, { name: 'disk (2)' }, { name: 'device' }]);
    expect(traceEvents[0]).toMatchObject({ name: 'process_name', args: { name: 'a run' } });
    expect(JSON.parse(JSON.stringify(traceEvents))).toEqual(traceEvents);
  });
});

describe('parseChromeTrace', () => {
  const spans = [
    span(1, 0, 2, { readySeconds: -0.5, waitedFor: 'nothing' }),
    span(2, 1, 2.5, { waitedFor: 'draft', flops: 12 }),
    span(4, 1, 2, { lane: 'device', kind: 'expert', batch: 1, rows: 6.5, waitedFor: 'weights' }),
    span(3, 2, 3, { phase: 'prefill', waitedFor: 'attention' }),
  ];
  const memory = {
    device: [
      { seconds: 0, bytes: 4e8 },
      { seconds: 0.25, bytes: 5e8 },
    ],
    host: [{ seconds: 0, bytes: 1e8 }],
  };
  const reread = (trace: unknown) => parseChromeTrace(JSON.parse(JSON.stringify(trace)));

  it('gives back what was written', () => {
    expect(reread(toChromeTrace(spans, memory))).toEqual({ spans, memory });
    expect(reread(toChromeTrace(spans))).toEqual({ spans, memory: { device: [], host: [] } });
  });

  it('reads traces that were written before causes, and passes over events it does not know', () => {
    const { traceEvents } = toChromeTrace(spans.slice(0, 1));
    const older = traceEvents.map((event) => {
      const {
        id: _id,
        flops: _flops,
        waitedFor: _waitedFor,
        ...args
      } = event.args as Record<string, unknown>;
      return { ...event, args };
    });
    const strangers = [{ ph: 'i', name: 'an instant' }, { ph: 'C', name: 'temperature', args: {} }, null];
    expect(reread({ traceEvents: [...older, ...strangers] }).spans).toEqual([{ ...spans[0], id: 0 }]);
  });

  const [, complete] = toChromeTrace(spans).traceEvents;
  it.each<[string, unknown, string]>([
    ['no object', 7, 'the trace: invalid content: 7; expected an object; give a trace.json.gz that'],
    ['no events', { traceEvents: {} }, 'the trace: invalid traceEvents: {}; expected a list of events'],
    [
      'a time that is none',
      { traceEvents: [{ ...complete, ts: 'now' }] },
      'event 0: invalid ts: "now"; expected a number',
    ],
    [
      'an unknown kind',
      { traceEvents: [{ ...complete, cat: 'nap' }] },
      'invalid cat: "nap"; expected load, upload',
    ],
    [
      'a row of no lane',
      { traceEvents: [{ ...complete, tid: 400 }] },
      'invalid tid: 400; expected a row of a lane',
    ],
    ['no arguments', { traceEvents: [{ ...complete, args: 1 }] }, 'invalid args: 1; expected an object'],
    [
      'an unknown cause',
      { traceEvents: [{ ...complete, args: { ...(complete!.args as object), waitedFor: 'rain' } }] },
      'event 0: invalid args.waitedFor: "rain"; expected weights, attention, draft or nothing',
    ],
    [
      'a duration below nothing',
      { traceEvents: [{ ...complete, dur: -1 }] },
      'event 0: invalid dur: -1; expected a number of at least 0',
    ],
    [
      'bytes below nothing',
      { traceEvents: [{ ...complete, args: { ...(complete!.args as object), bytes: -8 } }] },
      'event 0: invalid args.bytes: -8; expected a number of at least 0',
    ],
    [
      'memory that is none',
      { traceEvents: [{ ph: 'C', name: 'host memory', ts: 0, args: { bytes: null } }] },
      'event 0: invalid args.bytes: null; expected a number',
    ],
  ])('refuses %s', (_title, trace, message) => {
    expect(() => parseChromeTrace(trace)).toThrow(message);
  });
});
