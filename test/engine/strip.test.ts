import { drawStrip, type Span, windowOfPasses } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';

const span = (
  lane: Span['lane'],
  kind: Span['kind'],
  pass: number,
  startSeconds: number,
  endSeconds: number,
): Span => ({
  ...{ id: 0, lane, kind, name: kind, phase: 'decode', pass, batch: 0, bytes: 0, rows: 0, flops: 0 },
  ...{ readySeconds: startSeconds, startSeconds, endSeconds },
});

describe('drawStrip', () => {
  const spans = [
    span('disk', 'load', 1, 0, 1),
    span('disk', 'load', 1, 0.5, 2), // overlaps: counts once
    span('device', 'expert', 1, 2, 2.5),
    span('device', 'draft', 1, 3, 4),
    span('link', 'upload', 1, 3.9, 9), // reaches past the window
  ];

  it('shades every slice by the share of it that the lane was busy, the draft apart from the target', () => {
    const rows = drawStrip(spans, { startSeconds: 0, endSeconds: 4 }, 4);
    expect(rows).toEqual([
      { name: 'disk', text: '██  ' },
      { name: 'link', text: '   ░' },
      { name: 'host', text: '    ' },
      { name: 'device', text: '  ▒ ' },
      { name: 'draft', text: '   █' },
    ]);
  });

  it('leaves the draft out where there is none', () => {
    const rows = drawStrip(spans.slice(0, 2), { startSeconds: 1, endSeconds: 3 }, 2);
    expect(rows.map(({ name, text }) => `${name}:${text}`)).toEqual([
      'disk:█ ',
      'link:  ',
      'host:  ',
      'device:  ',
    ]);
  });
});

describe('windowOfPasses', () => {
  it("spans the target's device tasks of the passes, not the draft's", () => {
    const spans = [
      span('device', 'embed', 3, 1, 1.1),
      span('device', 'head', 4, 5, 5.5),
      span('device', 'draft', 4, 5.2, 7),
      span('disk', 'load', 4, 0, 9),
    ];
    expect(windowOfPasses(spans, 3, 4)).toEqual({ startSeconds: 1, endSeconds: 5.5 });
    expect(windowOfPasses(spans, 5, 6)).toBeNull();
  });
});
