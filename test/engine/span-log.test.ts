/** Spans in columns are the spans that were written, and their totals those of a list. */

import { localTopology, reportPhase, type Span } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { SpanLog } from '../../engine/dist/trace/span-log.js';

const spans: readonly Span[] = [
  ...[
    { id: 3, lane: 'disk', kind: 'load', start: 0.1, end: 2.3 },
    { id: 1, lane: 'device', kind: 'mix', start: 2.4, end: 2.7 },
    { id: 4, lane: 'disk', kind: 'load', start: 2.3, end: 3.1 },
    { id: 2, lane: 'device', kind: 'mix', start: 3.3, end: 4.9 },
  ],
  // Two at once, the later one through first; and one of no length that began together with another.
  ...[
    { id: 6, lane: 'disk', kind: 'load', start: 3.5, end: 3.6 },
    { id: 5, lane: 'disk', kind: 'load', start: 3.2, end: 4.1 },
    { id: 8, lane: 'device', kind: 'mix', start: 5, end: 5 },
    { id: 7, lane: 'device', kind: 'mix', start: 5, end: 5.5 },
  ],
].map(({ start, end, ...label }, index) => ({
  ...(label as Pick<Span, 'id' | 'lane' | 'kind'>),
  ...{ name: `task ${index}`, phase: index < 3 ? 'prefill' : 'decode', pass: index >> 1, batch: -1 },
  ...{ bytes: 0.1 * index, rows: index, flops: 1e12 / (index + 3), waitedFor: 'weights' },
  ...{ readySeconds: start - 0.05, startSeconds: start, endSeconds: end },
}));

function logged(some: readonly Span[]): SpanLog {
  const log = new SpanLog();
  for (const span of some) log.add(span, span as never, span.startSeconds, span.endSeconds);
  return log;
}

const byStart = (some: readonly Span[]) =>
  [...some].sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);

it('gives back what was written, by ending and by start', () => {
  const log = logged(spans);
  expect(log.listFrom(0)).toEqual(spans);
  expect(log.from(0).toArray()).toEqual(byStart(spans));
  expect(log.from(2).toArray()).toEqual(byStart(spans.slice(2)));
});

it.each([spans.slice(0, 4), spans])('measures the same as a list, however lanes overlap', (...some) => {
  const windows = [
    { startSeconds: 0, endSeconds: 2.5 },
    { startSeconds: 3, endSeconds: 5.2 },
  ];
  const list = reportPhase(byStart(some), windows, localTopology.lanes);
  expect(reportPhase(logged(some).from(0), windows, localTopology.lanes)).toEqual(list);
});

it('outgrows what it began with, and forgets', () => {
  const log = new SpanLog();
  for (let id = 0; id < 3000; id += 1)
    log.add({ ...spans[0]!, id }, { ...spans[0]!, waitedFor: 'draft' }, id, id + 0.5);
  expect(log.at(2999)).toMatchObject({ id: 2999, startSeconds: 2999, waitedFor: 'draft' });
  const before = log.from(2990);
  expect(before.toArray()).toHaveLength(10);
  log.clear();
  expect(log.length).toBe(0);
});
