import type { Span } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { figures, toRow } from '../../../experiments/src/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

// biome-ignore lint/suspicious/noExplicitAny: what Plotly draws is JSON of many shapes
type Trace = Readonly<Record<string, any>>;
const tracesOf = (figure: { data: readonly unknown[] }) => figure.data as readonly Trace[];
const textOf = (figure: { layout: Trace }): string => figure.layout.title.text;

const row = (system: string, workload: string, tokensPerSecond: number, kind = 'measured') => ({
  ...{ system, workload, tokensPerSecond, kind },
});

describe('energyByPart', () => {
  it('stacks what a token took of each part, and nothing where a run has no such part', () => {
    const runs: Parameters<typeof figures.energyByPart>[0] = [
      { name: 'plain', newTokens: 10, parts: { device: 60, host: 40 } },
      { name: 'serial', newTokens: 20, parts: { device: 100 } },
    ];
    const [device, host] = tracesOf(figures.energyByPart(runs));
    expect(device).toMatchObject({ name: 'device', x: [6, 5], text: ['6.00', '5.00'] });
    expect(host).toMatchObject({ name: 'host', x: [4, 0], text: ['4.00', ''] });
  });
});

describe('throughputBars', () => {
  const repeats = [10, 12, 11].flatMap((value) => [
    row('FlexGen', 'code', value),
    row('SpecOffload', 'code', 2 * value),
    row('SpecOffload', 'prose', 30),
  ]);

  it('draws medians with their intervals, one colour per system whatever the others are', () => {
    const [flexgen, specoffload] = tracesOf(
      figures.throughputBars(repeats, { series: 'system', group: 'workload' }),
    );
    expect(flexgen).toMatchObject({ name: 'FlexGen', x: ['code'], y: [11] });
    expect(specoffload).toMatchObject({ name: 'SpecOffload', x: ['code', 'prose'], y: [22, 30] });
    expect(flexgen!.error_y.array[0]).toBeGreaterThan(1);
    expect(specoffload!.error_y.arrayminus[1]).toBe(0);
    const alone = tracesOf(figures.throughputBars([row('SpecOffload', 'code', 3)], { series: 'system' }));
    expect(alone[0].marker.color).toBe(specoffload!.marker.color);
  });

  it('writes multiples of the baseline of the same group, and none where there is no such', () => {
    const options = { series: 'system', group: 'workload', baseline: 'FlexGen' };
    const [flexgen, specoffload] = tracesOf(figures.throughputBars(repeats, options));
    expect(flexgen!.text).toEqual(['11']);
    expect(specoffload!.text).toEqual(['22<br>2.00×', '30']);
  });

  it('compares run by run, as rankings do, and writes bytes as people do', () => {
    const runs = [
      [10, 11],
      [10, 16],
      [20, 24],
    ].flatMap(([flexgen, specoffload], repeat) => [
      fakeRecord({ axes: { system: 'FlexGen' }, repeat, tokensPerSecond: flexgen! }),
      fakeRecord({ axes: { system: 'SpecOffload' }, repeat, tokensPerSecond: specoffload! }),
    ]);
    const rows = runs.map((record) => toRow(record));
    const options = { series: 'system', baseline: 'FlexGen' };
    // Medians are 1.6 times each other; run by run it is 1.1, 1.6 and 1.2 times.
    expect(tracesOf(figures.throughputBars(rows, options))[1].text).toEqual(['16<br>1.20×']);
    const [bytes] = tracesOf(
      figures.throughputBars([{ strategy: 'serial', diskBytes: 19.6e9 }], { metric: 'diskBytes' }),
    );
    expect(bytes!.text).toEqual(['19.6 GB']);
  });

  it('says what is measured, simulated and published, and fills them differently', () => {
    const figure = figures.throughputBars(
      [...repeats, row('FlexGen', 'code', 12, 'simulated'), row('FlexGen', 'code', 9, 'published')],
      { series: 'system', group: 'workload' },
    );
    expect(textOf(figure)).toContain('solid: measured, hatched: simulated, pale: published');
    const [measured, simulated, published] = tracesOf(figure);
    expect([measured!.y, simulated!.y, published!.y]).toEqual([[11], [12], [9]]);
    expect(simulated!.marker.pattern.shape).toBe('/');
    expect(published!.marker.opacity).toBeLessThan(0.6);
    expect([measured, simulated, published].map((trace) => trace!.showlegend)).toEqual([true, false, false]);
  });

  it('never lets a name become markup', () => {
    const figure = figures.throughputBars([row('<a href="http://x">evil</a>', 'w', 3)], {
      series: 'system',
      title: '<img src=x>',
    });
    const texts = JSON.stringify(figure)
      .replaceAll('<br>', '')
      .replace(/<\/?span[^>]*>/g, '');
    expect(texts).not.toMatch(/<[a-z]/);
    expect(texts).toContain('&lt;a href=');
  });
});

describe('sweepCurves', () => {
  const rows = [8, 1, 4, 2].map((candidates) => ({
    ...{
      candidates,
      workload: 'code',
      kind: 'simulated',
      tokensPerSecond: candidates === 4 ? 9 : candidates,
    },
  }));

  it('orders numbers, fills the best point and spaces factors evenly', () => {
    const figure = figures.sweepCurves(rows, { x: 'candidates', series: 'workload' });
    const [line] = tracesOf(figure);
    expect(line!.x).toEqual([1, 2, 4, 8]);
    expect(line!.y).toEqual([1, 2, 9, 8]);
    expect(line!.marker.size).toEqual([7, 7, 10, 7]);
    expect(figure.layout.xaxis).toMatchObject({ type: 'log', tickvals: [8, 1, 4, 2] });
  });

  it('marks the least where less is better', () => {
    const seconds = rows.map((each) => ({ ...each, seconds: each.tokensPerSecond }));
    const figure = figures.sweepCurves(seconds, { x: 'candidates', metric: 'seconds', lowerIsBetter: true });
    expect(tracesOf(figure)[0].marker.size).toEqual([10, 7, 7, 7]);
  });

  it('knows sizes for numbers, and takes other values as they come', () => {
    const sizes = ['24GB', '512MB', '2GiB'].map((deviceMemory) => ({ deviceMemory, tokensPerSecond: 1 }));
    const [line] = tracesOf(figures.sweepCurves(sizes, { x: 'deviceMemory' }));
    expect(line!.x).toEqual([512e6, 2 ** 31, 24e9]);
    const caches = ['window', 'resident'].map((draftCache) => ({ draftCache, tokensPerSecond: 1 }));
    const figure = figures.sweepCurves(caches, { x: 'draftCache' });
    expect(tracesOf(figure)[0].x).toEqual(['window', 'resident']);
    expect(figure.layout.xaxis).toMatchObject({ type: 'category', categoryarray: ['window', 'resident'] });
  });
});

describe('a place in a figure', () => {
  const axesOf = (acceptance: number, candidates: number) => ({ strategy: 'serial', acceptance, candidates });
  const runs = [0.6, 0.9].flatMap((acceptance) =>
    [2, 4].flatMap((candidates) =>
      [1, 2, 3].map((seed) =>
        fakePrediction({
          ...{
            axes: axesOf(acceptance, candidates),
            tokensPerSecond: 10 * acceptance + candidates + seed / 10,
          },
          run: { seed },
        }),
      ),
    ),
  );
  const rows = runs.map((record) => toRow(record));

  it('holds runs of one point; what varies else is named', () => {
    for (const draw of [
      () => figures.sweepCurves(rows, { x: 'candidates', series: 'strategy' }),
      () => figures.throughputBars(rows, { series: 'candidates' }),
      () => figures.heatMap(rows, { x: 'candidates', y: 'strategy' }),
    ])
      expect(draw).toThrow(/different points and cannot be taken together: acceptance \(0\.6, 0\.9\) varies/);
    expect(() => figures.throughputBars(rows, { series: 'strategy' })).toThrow(
      'acceptance (0.6, 0.9), candidates (2, 4) varies where strategy is the same',
    );
  });

  it('is in a panel of its own for each value of what varies', () => {
    const figure = figures.sweepCurves(rows, { x: 'candidates', series: 'strategy', panel: 'acceptance' });
    const lines = tracesOf(figure);
    expect(lines.map(({ xaxis, y }) => [xaxis, y.map((value: number) => value.toFixed(1))])).toEqual([
      ['x', ['8.2', '10.2']],
      ['x2', ['11.2', '13.2']],
    ]);
    expect(textOf(figure)).toContain('simulated, median of 3 seeds, 95 % intervals');
    expect((figure.layout.annotations as Trace[]).map(({ text }) => text)).toEqual([
      '<b>acceptance 0.6</b>',
      '<b>acceptance 0.9</b>',
    ]);
  });

  it('counts a prediction once, however often it was made, and says when it is one seed', () => {
    const one = fakePrediction({ axes: axesOf(0.6, 2), tokensPerSecond: 5 });
    const figure = figures.throughputBars([one, { ...one, repeat: 1 }].map((record) => toRow(record)));
    expect(textOf(figure)).toContain('simulated, one seed');
  });

  it('is not shared by runs on two processors, nor by runs that differ where no column says so', () => {
    const run = fakeRecord({ axes: {}, tokensPerSecond: 5 });
    const elsewhere = { ...run, provenance: { ...run.provenance, cpu: 'another cpu' } };
    expect(() => figures.throughputBars([run, elsewhere].map((record) => toRow(record)))).toThrow(
      'cpu (some cpu, another cpu) varies',
    );
    const other = { ...run, point: { ...run.point!, pointKey: 'f'.repeat(32) } };
    expect(() => figures.throughputBars([run, other].map((record) => toRow(record)))).toThrow(
      'something that no column names',
    );
  });

  it('is told apart by all columns where rows are of no record', () => {
    const bars = [1, 2].map((batch) => ({ strategy: 'serial', batch, tokensPerSecond: batch }));
    expect(() => figures.throughputBars(bars)).toThrow('batch (1, 2) varies where strategy is the same');
    expect(tracesOf(figures.throughputBars(bars, { group: 'batch' }))[0].y).toEqual([1, 2]);
  });
});

describe('heatMap', () => {
  it('puts numbers in order, leaves what was not run blank and frames the best', () => {
    const rows = [
      { a: 8, b: 2, tokensPerSecond: 5 },
      { a: 16, b: 1, tokensPerSecond: 9 },
      { a: 8, b: 1, tokensPerSecond: 3 },
    ];
    const figure = figures.heatMap(rows, { x: 'a', y: 'b' });
    expect(tracesOf(figure)[0]).toMatchObject({
      x: ['8', '16'],
      y: ['1', '2'],
      z: [
        [3, 9],
        [5, null],
      ],
    });
    expect(figure.layout.shapes).toMatchObject([{ x0: 0.5, x1: 1.5, y0: -0.5, y1: 0.5 }]);
  });
});

describe('acceptanceByPosition', () => {
  it('tells the chance once those before stood from the chance of so many', () => {
    const byPosition = [
      { proposed: 100, accepted: 80 },
      { proposed: 100, accepted: 40 },
      { proposed: 0, accepted: 0 },
    ];
    const [own, all] = tracesOf(figures.acceptanceByPosition([{ name: 'code', byPosition }]));
    expect(own!.y).toEqual([0.8, 0.5, null]);
    expect(all!.y).toEqual([0.8, 0.4, null]);
  });
});

it('expectedTokensCurves draws the formula and what happened', () => {
  const figure = figures.expectedTokensCurves({
    rates: [0.5],
    mostCandidates: 2,
    observed: [{ name: 'code', candidates: 2, tokensPerRound: 1.7 }],
  });
  const [right, released, observed] = tracesOf(figure);
  expect(right!.y).toEqual([1, 1.5, 1.75]);
  expect(released!.y).toEqual([1, 1.25, 1.5]);
  expect(observed).toMatchObject({ x: [2], y: [1.7] });
});

it('memoryOverTime holds each value until the next and shows the wall', () => {
  const samples = [
    { seconds: 0, bytes: 1e9 },
    { seconds: 2, bytes: 3e9 },
  ];
  const [used, wall] = tracesOf(figures.memoryOverTime([{ name: 'device', samples, budgetBytes: 4e9 }]));
  expect(used).toMatchObject({ x: [0, 2], y: [1e9, 3e9], line: { shape: 'hv' } });
  expect(wall).toMatchObject({ x: [0, 2], y: [4e9, 4e9], name: 'device budget, 4.00 GB' });
});

describe('deviceTime', () => {
  it('adds up to the phase', () => {
    const idle = { weights: 3, attention: 1, draft: 0, nothing: 1 };
    const traces = tracesOf(figures.deviceTime([{ name: 'serial', seconds: 10, busySeconds: 5, idle }]));
    expect(traces.map(({ name, x }) => [name, x[0]])).toEqual([
      ['busy', 0.5],
      ['waits for weights', 0.3],
      ['waits for attention or its cache', 0.1],
      ['nothing to do', 0.1],
    ]);
  });

  it('claims no reason where records have none', () => {
    const traces = tracesOf(figures.deviceTime([{ name: 'old', seconds: 10, busySeconds: 4 }]));
    expect(traces.map(({ name, x }) => [name, x[0]])).toEqual([
      ['busy', 0.4],
      ['idle', 0.6],
    ]);
  });
});

it('kernelTime stacks what a queue did by kind, and leaves idle time blank', () => {
  const runs: figures.KernelTime[] = [
    { name: 'none', shares: { matmul: 0.5, norm: 0.1 } },
    { name: 'serial', shares: { matmul: 0.6, attention: 0.2 } },
  ];
  const traces = tracesOf(figures.kernelTime(runs));
  expect(traces.map(({ name, x }) => [name, x])).toEqual([
    ['matmul', [0.5, 0.6]],
    ['norm', [0.1, 0]],
    ['attention', [0, 0.2]],
  ]);
});

it('predictedVsMeasured says how wrong it is', () => {
  const pairs = [
    { series: 'serial', name: 'a', predicted: 11, measured: 10 },
    { series: 'none', name: 'b', predicted: 15, measured: 20 },
  ];
  const figure = figures.predictedVsMeasured(pairs);
  expect(textOf(figure)).toContain('2 pairs, mean error 17.5 %, 1 within 10 %');
  expect(tracesOf(figure).slice(-2)).toMatchObject([
    { name: 'serial', x: [10], y: [11] },
    { name: 'none', x: [20], y: [15] },
  ]);
});

it('ratioTable keeps what is decided apart from what is not', () => {
  const figure = figures.ratioTable([
    { name: 'serial', ratio: 2, low: 1.9, high: 2.2, verdict: 'faster' },
    { name: 'flexgen', ratio: 0.97, low: null, high: null, verdict: 'not distinguishable' },
  ]);
  const [faster, undecided] = tracesOf(figure);
  expect(faster).toMatchObject({ name: 'faster', x: [2], y: ['serial'] });
  expect(faster!.error_x.array[0]).toBeCloseTo(0.2);
  expect(undecided).toMatchObject({ name: 'not distinguishable', error_x: { array: [0] } });
  expect(figure.layout.annotations).toMatchObject([{ text: '2.00× (1.90 to 2.20)' }, { text: '0.97×' }]);
});

describe('laneTimeline', () => {
  const span = (changes: Partial<Span>): Span => ({
    ...{ id: 0, lane: 'device', kind: 'expert', name: 'expert', phase: 'decode', pass: 1, batch: 0 },
    ...{ bytes: 10, rows: 1, flops: 0, readySeconds: 0, startSeconds: 0, endSeconds: 1 },
    ...changes,
  });
  const barsOf = (figure: { data: readonly unknown[] }) =>
    tracesOf(figure).flatMap(({ name, base, x, y }) =>
      (base as number[]).map((start, i) => ({ kind: name, start, seconds: x[i], place: y[i] })),
    );

  it('gives each task its bar, lanes and tasks at the same time rows of their own', () => {
    const figure = figures.laneTimeline([
      span({ id: 1, lane: 'disk', kind: 'load', startSeconds: 0, endSeconds: 2 }),
      span({ id: 2, lane: 'disk', kind: 'load', startSeconds: 1, endSeconds: 3 }),
      span({ id: 3, startSeconds: 3, endSeconds: 4 }),
      span({ id: 4, kind: 'draft', startSeconds: 4, endSeconds: 4.5 }),
    ]);
    const bars = barsOf(figure);
    expect(bars.map(({ kind, start, seconds }) => [kind, start, seconds])).toEqual([
      ['load', 0, 2],
      ['load', 1, 2],
      ['expert', 3, 1],
      ['draft', 4, 0.5],
    ]);
    expect(new Set(bars.map(({ place }) => place)).size).toBe(4);
    expect(figure.layout.yaxis).toMatchObject({ ticktext: ['disk', 'device', 'draft'] });
  });

  it('stays small: inside the window task by task, outside together, and no busy second is lost', () => {
    const tasks = Array.from({ length: 50_000 }, (_, i) =>
      span({ id: i, pass: Math.floor(i / 500), startSeconds: i / 1000, endSeconds: (i + 0.9) / 1000 }),
    );
    const window = { startSeconds: 10, endSeconds: 10.2 };
    const bars = barsOf(figures.laneTimeline(tasks, { window, mostBars: 1000 }));
    expect(bars.length).toBeLessThanOrEqual(1000);
    expect(bars.length).toBeGreaterThan(300);
    const inside = bars.filter(({ start }) => 10 <= start && start < 10.199);
    expect(inside).toHaveLength(199);
    const covered = bars.reduce((sum, { seconds }) => sum + seconds, 0);
    expect(covered).toBeGreaterThan(44.9);
    expect(covered).toBeLessThan(50);
  });

  it('shows two passes in the middle of decode first, and offers the rest', () => {
    const tasks = Array.from({ length: 10 }, (_, pass) =>
      span({
        id: pass,
        pass,
        phase: pass === 0 ? 'prefill' : 'decode',
        startSeconds: pass,
        endSeconds: pass + 1,
      }),
    );
    const { layout } = figures.laneTimeline(tasks);
    expect((layout.xaxis as Trace).range[0]).toBeCloseTo(4.98);
    expect((layout.xaxis as Trace).range[1]).toBeCloseTo(7.02);
    const [menu] = layout.updatemenus as Trace[];
    expect(menu!.buttons.map((button: Trace) => button.label)).toEqual([
      'detail',
      'prefill',
      'decode',
      'whole run',
    ]);
  });

  it('draws nothing of a run without tasks', () => {
    expect(figures.laneTimeline([]).data).toEqual([]);
  });
});

describe('panels', () => {
  const [code, prose] = ['code', 'prose'].map((workload) => ({
    title: workload,
    figure: figures.throughputBars([row('FlexGen', workload, 3), row('SpecOffload', workload, 9)], {
      series: 'system',
      group: 'workload',
    }),
  }));

  it('gives every figure axes of its own, side by side and below each other', () => {
    const { data, layout } = figures.panels([code!, prose!, code!], { title: 'three' });
    expect((data as Trace[]).map(({ xaxis, yaxis }) => `${xaxis} ${yaxis}`)).toEqual([
      'x y',
      'x y',
      'x2 y2',
      'x2 y2',
      'x3 y3',
      'x3 y3',
    ]);
    const [left, right, below] = ['', '2', '3'].map(
      (id) => [layout[`xaxis${id}`], layout[`yaxis${id}`]] as Trace[],
    );
    expect(left![0].domain[1]).toBeLessThan(right![0].domain[0]);
    expect(left![1].domain).toEqual(right![1].domain);
    expect(below![0].domain).toEqual(left![0].domain);
    expect(below![1].domain[1]).toBeLessThan(left![1].domain[0]);
    expect([left![1].title.text, right![1].title.text]).toEqual(['throughput, tokens/s', '']);
  });

  it('names each series once in the legend, and each panel above it', () => {
    const { data, layout } = figures.panels([code!, prose!], { title: 'two' });
    expect((data as Trace[]).map(({ name, showlegend }) => [name, showlegend])).toEqual([
      ['FlexGen', true],
      ['SpecOffload', true],
      ['FlexGen', false],
      ['SpecOffload', false],
    ]);
    expect((layout.annotations as Trace[]).map(({ text, xref }) => [text, xref])).toEqual([
      ['<b>code</b>', 'x domain'],
      ['<b>prose</b>', 'x2 domain'],
    ]);
  });

  it('moves what a figure draws beside its traces along', () => {
    const ratios = figures.ratioTable([
      { name: 'serial', ratio: 2, low: null, high: null, verdict: 'faster' },
    ]);
    const { layout } = figures.panels([code!, { title: 'ratios', figure: ratios }], { title: 'two' });
    expect(layout.shapes).toMatchObject([{ xref: 'x2', yref: 'y2 domain' }]);
    expect((layout.annotations as Trace[]).at(-1)).toMatchObject({ xref: 'x2 domain', yref: 'y2' });
  });
});
