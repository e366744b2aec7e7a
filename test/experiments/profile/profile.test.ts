import {
  type ComputeLane,
  computeLane,
  flattenMachine,
  type LaneReport,
  noCaps,
  parseMachineModel,
  type RunResult,
  type Span,
  type TransferLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  type Comparison,
  deviationOf,
  meanOfRounds,
  summarize,
} from '../../../experiments/src/accuracy/compare.js';
import { accuracyGrid, groupOf, pointNamed, policyName } from '../../../experiments/src/accuracy/grid.js';
import { localSettings } from '../../../experiments/src/inputs/caps.js';
import { fitArithmetic, fitNonNegative, median } from '../../../experiments/src/profile/fit.js';
import { buildMachineFile, withoutInterruptions } from '../../../experiments/src/profile/machine-file.js';
import { atOneMoment } from '../../../experiments/src/profile/moments.js';
import { measureWaits } from '../../../experiments/src/profile/waits.js';
import { fakeRun } from '../fake-run.js';

describe('fits', () => {
  it('finds the coefficients of a sum', () => {
    const features = [1, 2, 3, 4, 5].flatMap((rows) => [1e3, 5e6, 2e9].map((bytes) => [1, rows, bytes]));
    const values = features.map(([one, rows, bytes]) => 1e-4 * one! + 2e-5 * rows! + bytes! / 3e9);
    const [constant, perRow, perByte] = fitNonNegative(features, values);
    expect(constant).toBeCloseTo(1e-4, 8);
    expect(perRow).toBeCloseTo(2e-5, 8);
    expect(1 / perByte!).toBeCloseTo(3e9, -3);
  });

  it('never finds a negative one', () => {
    const features = [1, 2, 4, 8].map((rows) => [1, rows]);
    expect(fitNonNegative(features, [4, 3, 2, 1]).every((coefficient) => coefficient >= 0)).toBe(true);
  });

  it('takes means of similar row counts, by ascending rows, and leaves the slowest out', () => {
    const observe = (rows: number, rate: number) => ({
      rows,
      flops: rows * 100,
      seconds: (rows * 100) / rate,
    });
    const points = fitArithmetic([
      ...Array.from({ length: 60 }, () => observe(8, 4e9)),
      observe(8, 1e8), // the system took the core away
      observe(8, 2e9), // another lane did
      ...[1, 1, 1].map((rows) => observe(rows, 1e9)),
    ]);
    expect(points.map(([rows]) => rows)).toEqual([1, 8]);
    expect(points[0][1]).toBeCloseTo(1e9, -3);
    expect(points[1][1]).toBeCloseTo(4e9 / (62 / 61), -3);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([1, 2])).toBe(1.5);
  });

  it('takes no product to last less for having more rows', () => {
    const observe = (rows: number, seconds: number) => ({ rows, flops: rows * 100, seconds });
    const points = fitArithmetic([
      ...[observe(1, 1), observe(2, 1.5), observe(2, 1.5), observe(2, 1.5)],
      ...[observe(4, 5.5), observe(8, 2.5), observe(8, 2.5), observe(16, 4)],
    ]);
    const seconds = points.map(([rows, rate]) => (rows * 100) / rate);
    for (const [index, expected] of [1, 1.5, 3.5, 3.5, 4].entries())
      expect(seconds[index]).toBeCloseTo(expected, 10);
  });
});

describe('a machine file', () => {
  /** Spans of a machine that does exactly what its rates say. */
  function spansOf(): Span[] {
    const spans: Span[] = [];
    let id = 0;
    const add = (changes: Partial<Span> & Pick<Span, 'lane' | 'kind'>, seconds: number) => {
      spans.push({
        ...{ id, name: 'x', phase: 'decode', pass: 0, batch: 0, bytes: 0, rows: 0, flops: 0 },
        ...{ readySeconds: id, startSeconds: id, endSeconds: id + seconds },
        ...changes,
      });
      id += 1;
    };
    for (let repeat = 0; repeat < 10; repeat += 1) {
      for (const bytes of [1e6, 1e7]) add({ lane: 'link', kind: 'upload', bytes }, 1e-4 + bytes / 4e9);
      for (const rows of [2, 8, 32])
        for (const kind of ['expert', 'project', 'mix', 'head', 'draft'] as const)
          add({ lane: 'device', kind, rows, flops: rows * 1e6 }, (rows * 1e6) / (rows * 1e9));
      for (const rows of [4, 40])
        add({ lane: 'host', kind: 'attention', rows, flops: rows * 1e5 }, 1e-5 + rows * 1e-5);
      add({ lane: 'device', kind: 'embed', rows: 10 }, 1e-5);
    }
    return spans;
  }

  function fileOf(spans: Span[], diskBytesPerSecond: number | null = 1.1e9, disks?: readonly LaneReport[]) {
    const { result } = fakeRun();
    const runs = (disks ?? [result.phases.decode.lanes.disk!]).map((disk): RunResult => {
      const { prefill, decode } = result.phases;
      const nothing = { ...disk, bytes: 0, busySeconds: 0, utilization: 0 };
      const phases = {
        prefill: { ...prefill, lanes: { ...prefill.lanes, disk: nothing } },
        decode: { ...decode, lanes: { ...decode.lanes, disk } },
      };
      return { ...result, spans, phases };
    });
    return buildMachineFile(
      {
        name: 'local',
        description: 'test',
        settings: localSettings({
          ...{ deviceBytes: 5e8, hostBytes: 5e8 },
          caps: { ...noCaps, diskBytesPerSecond },
        }),
        specs: [fakeRun().spec],
        diskBytes: 1e12,
        draftElements: 5e5,
      },
      runs,
    );
  }

  it("has the disk's rate of all runs together, and where it is paced of those in which it hardly rested", () => {
    const at = (utilization: number, busySeconds: number): LaneReport => ({
      ...{ utilization, busySeconds, bytes: 6e9, numTasks: 1 },
    });
    const disks = [at(0.99, 3), at(0.5, 1), at(0.98, 2)];
    const rateOf = (cap: number | null) =>
      flattenMachine(parseMachineModel(fileOf(spansOf(), cap, disks), 'test.json')).disk.bytesPerSecond;
    expect(rateOf(null)).toBe(3e9);
    expect(rateOf(2.4e9)).toBe(2.4e9);
  });

  it('has a mean rate of transfers of which larger ones took no longer', () => {
    const spans = spansOf().map((span) => {
      if (span.kind !== 'upload') return span;
      return { ...span, endSeconds: span.startSeconds + (span.bytes === 1e6 ? 0.03 : 0.025) };
    });
    const machine = flattenMachine(parseMachineModel(fileOf(spans), 'test.json'));
    expect(machine.link.bytesPerSecond / (1.1e7 / 0.055)).toBeCloseTo(1, 2);
  });

  it('has the rates that the spans show, and can be read back', () => {
    const file = fileOf(spansOf());
    expect(file).toMatchObject({ measuredBy: [{ kind: 'measured', strategy: 'serial' }], formats: 'cpu' });
    const machine = flattenMachine(parseMachineModel(file, 'test.json'));
    expect(machine.link.bytesPerSecond / 4e9).toBeCloseTo(1, 2);
    expect(machine.device.arithmetic.map(([rows]) => rows)).toEqual([2, 8, 32]);
    for (const [rows, rate] of machine.device.arithmetic) expect(rate / (rows * 1e9)).toBeCloseTo(1, 2);
    expect(machine.interruptsDraft).toBe(true);
    expect(machine.measuredUnder).toEqual({ diskBytesPerSecond: 1.1e9 });
  });

  it('has the rate of what crosses while others are at work, and how much sooner it is across alone', () => {
    const upload = (startSeconds: number, seconds: number, phase: Span['phase'] = 'decode'): Span => ({
      ...{ id: 0, lane: 'link', kind: 'upload', name: 'x', phase, pass: 0, batch: 0, bytes: 1e7, rows: 0 },
      ...{ flops: 0, readySeconds: 0, startSeconds, endSeconds: startSeconds + seconds },
    });
    const spans = Array.from({ length: 20 }, (_, index): Span[] => {
      const at = 1e4 + 10 * index;
      const read = { lane: 'disk', kind: 'load', startSeconds: at, endSeconds: at + 1 } as const;
      return [
        { ...upload(at, 1), ...read },
        upload(at + 0.5, 0.01), // beside the read
        upload(at + 2, 0.006),
        upload(at + 3, 0.02, 'prefill'), // on other cores
      ];
    }).flat();
    const others = spansOf().filter(({ kind }) => kind !== 'upload');
    const { lanes } = parseMachineModel(fileOf([...others, ...spans]), 'test.json');
    const link = lanes.find(({ name }) => name === 'link');
    expect(link).toMatchObject({ bytesPerSecond: 1e9, aloneFactor: 0.6 });
  });

  it('has what weights take besides that did not just come, and rates of those that did', () => {
    const bytes = 1e6;
    const span = (
      lane: Span['lane'],
      kind: Span['kind'],
      name: string,
      start: number,
      end: number,
    ): Span => ({
      ...{ id: 0, lane, kind, name, phase: 'decode', pass: 0, batch: 0, bytes, rows: 0, flops: 0 },
      ...{ readySeconds: start, startSeconds: start, endSeconds: end },
    });
    const uses = (name: string, start: number, seconds: number): Span => ({
      ...span('device', 'expert', name, start, start + seconds),
      ...{ rows: 4, flops: 4e6 },
    });
    const spans = Array.from({ length: 20 }, (_, index) => {
      const at = 1e4 + 10 * index;
      return [
        span('disk', 'load', 'load layer.1.expert.0', at, at + 1),
        span('link', 'upload', 'upload layer.1.expert.0', at + 1.001, at + 1.003), // just read: 2 ms
        uses('layer.1.expert.0', at + 1.004, 0.004), // just come: 4 ms
        uses('layer.1.expert.0', at + 2, 0.005), // no longer
        uses('layer.0.expert.0', at + 3, 0.005), // stays
        span('link', 'upload', 'upload layer.2.expert.0', at + 4, at + 4.003), // kept in host memory
      ];
    }).flat();
    const { lanes } = parseMachineModel(fileOf(spans), 'test.json');
    const device = lanes.find(({ name }) => name === 'device') as ComputeLane;
    expect(device.cold).toEqual({ secondsPerByte: 1e-9, afterSeconds: 0.002 });
    expect(device.arithmetic).toEqual([[4, 1e9]]);
    const link = lanes.find(({ name }) => name === 'link') as TransferLane;
    expect(link.cold).toEqual({ secondsPerByte: 1e-9, afterSeconds: 0.002 });
    expect(link.bytesPerSecond / 5e8).toBeCloseTo(1, 3);
    expect(lanes.find(({ name }) => name === 'host')?.cold).toEqual(device.cold);
    expect(parseMachineModel(fileOf(spansOf()), 'test.json').lanes.some(({ cold }) => cold)).toBe(false);
  });

  it('has attention on the device as what its parts take one after the other', () => {
    const { kinds } = computeLane(parseMachineModel(fileOf(spansOf()), 'test.json'), 'device');
    // Each of them multiplies as fast as both together.
    expect(kinds.attention?.arithmetic?.map(([rows]) => rows)).toEqual([2, 8, 32]);
    for (const [rows, rate] of kinds.attention?.arithmetic ?? [])
      expect(rate / (rows * 1e9)).toBeCloseTo(1, 2);
    expect(kinds.attention?.overheadSeconds).toBeCloseTo(1e-5, 8);
  });

  it('has what passes before tasks start, apart from what they take', () => {
    const span = (id: number, lane: Span['lane'], ready: number, start: number, end: number): Span => ({
      ...{
        id,
        lane,
        kind: lane === 'link' ? 'upload' : 'expert',
        name: 'x',
        phase: 'decode',
        pass: 0,
        batch: 0,
      },
      ...{ bytes: 1e6, rows: 4, flops: 4e6, readySeconds: ready, startSeconds: start, endSeconds: end },
    });
    // The link brings, the device computes; what it is given next has come by then, or comes a second later.
    const spans = Array.from({ length: 20 }, (_, index) => {
      const at = 10 * index;
      return [
        span(4 * index, 'link', at, at, at + 1),
        span(4 * index + 1, 'device', at + 1.25, at + 1.5, at + 3), // woken: 0.5 after the link's end
        span(4 * index + 2, 'device', at + 2, at + 3.125, at + 4), // a gap of 0.125
      ];
    }).flat();
    const { gaps, wakes } = measureWaits([{ spans, policy: fakeRun().result.policy }], 'device');
    expect([new Set(gaps), new Set(wakes)]).toEqual([new Set([0.125]), new Set([0.5])]);
    const { lanes } = parseMachineModel(fileOf(spans), 'test.json');
    const device = lanes.find(({ name }) => name === 'device');
    expect(device).toMatchObject({ gapSeconds: 0.125, wakeSeconds: 0.5, overheadSeconds: 0 });
    expect(lanes.find(({ name }) => name === 'host')).toMatchObject({ gapSeconds: 0, wakeSeconds: 0 });
  });

  it('has rates of their own for what was computed while prompts were read', () => {
    const decoded = spansOf();
    const read = decoded.map((span): Span => {
      const isExpert = span.kind === 'expert';
      const seconds = (span.endSeconds - span.startSeconds) / (isExpert ? 2 : 1);
      return { ...span, phase: 'prefill', endSeconds: span.startSeconds + seconds };
    });
    const machine = parseMachineModel(fileOf([...decoded, ...read]), 'test.json');
    const { arithmetic, kinds, prefill } = computeLane(machine, 'device');
    const early = prefill?.expert?.arithmetic ?? [];
    expect(early.map(([rows]) => rows)).toEqual(arithmetic.map(([rows]) => rows));
    for (const [index, [, rate]] of early.entries()) expect(rate / arithmetic[index][1]).toBeCloseTo(2, 2);
    expect(prefill?.mix).toEqual(kinds.mix);
    expect(Object.keys(prefill ?? {})).toEqual(['project', 'mix', 'expert', 'head']);
  });

  it('holds runs of a slow and of a fast moment against each other by what both did', () => {
    const at = (rows: number, seconds: number): Span => ({
      ...{ id: 0, lane: 'device', kind: 'expert', name: 'x', phase: 'decode', pass: 0, batch: 0, bytes: 0 },
      ...{ rows, flops: rows * 1e6, readySeconds: 0, startSeconds: 1, endSeconds: 1 + seconds },
    });
    const secondsOf = (rows: number) => 1e-3 * (1 + rows);
    const run = (pace: number, rowCounts: readonly number[]) =>
      rowCounts.flatMap((rows) => Array.from({ length: 10 }, () => at(rows, pace * secondsOf(rows))));
    const [slow, fast] = [run(1.2, [1, 4, 16]), run(0.8, [4, 16, 64])];
    const link: Span = { ...at(0, 5), lane: 'link', kind: 'upload' };
    const [evened, others] = atOneMoment([[...slow, link], fast]);
    const factor = (span: Span) => (span.endSeconds - span.startSeconds) / secondsOf(span.rows);
    const factors = [...evened!, ...others!].filter(({ lane }) => lane === 'device').map(factor);
    for (const one of factors) expect(one).toBeCloseTo(factors[0]!, 4);
    const total = (spans: readonly Span[]) =>
      spans.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
    expect(total([...evened!, ...others!])).toBeCloseTo(total([...slow, link, ...fast]), 6);
    expect(evened!.at(-1)).toEqual(link);
  });

  it('takes a draft step to last without what went in between its layers', () => {
    const at = (kind: Span['kind'], startSeconds: number, endSeconds: number): Span => ({
      ...{ id: 0, lane: 'device', kind, name: 'x', phase: 'decode', pass: 0, batch: 0 },
      ...{ bytes: 0, rows: 1, flops: 1, readySeconds: 0, startSeconds, endSeconds },
    });
    const spans = [
      at('expert', 0, 1),
      at('draft', 1, 10),
      at('expert', 2, 3),
      at('mix', 5, 7),
      at('expert', 10, 11),
    ];
    expect(
      withoutInterruptions(spans).map(({ startSeconds, endSeconds }) => endSeconds - startSeconds),
    ).toEqual([1, 6, 1, 2, 1]);
  });
});

describe('accuracy', () => {
  function compare(
    point: Comparison['point'],
    measured: Comparison['measured'],
    predicted: Comparison['predicted'],
    conditions: Comparison['conditions'],
  ): Comparison {
    const deviation = deviationOf(measured, predicted);
    const even = { prefill: {}, decode: {} };
    return { point, measured, conditions, ...deviation, atOwnPace: { ...deviation, pace: even } };
  }

  it('has at least 24 runs, and more than one policy to choose from in every situation but the competitors', () => {
    expect(accuracyGrid(false).length).toBeGreaterThanOrEqual(24);
    expect(accuracyGrid(true).length).toBe(7);
  });

  it('sums up errors, and what trusting the predictions would have cost', () => {
    const { result } = fakeRun();
    const points = accuracyGrid(true);
    const outcome = (tokensPerSecond: number) => ({ ...result, tokensPerSecond });
    const comparisons = [
      compare(points[0], outcome(10), outcome(11), null),
      compare(points[1], outcome(20), outcome(12), null),
      compare(points[2], outcome(16), outcome(16), null),
    ];
    const summary = summarize(comparisons)!;
    expect(summary.meanError).toBeCloseTo((0.1 + 0.4 + 0) / 3, 10);
    expect(summary.worstError).toBeCloseTo(0.4, 10);
    expect([summary.meanLaneError, summary.worstLaneError]).toEqual([0, 0]);
    expect(summary.worst.point).toBe(points[1]);
    expect(summary.picks).toEqual([{ group: '4 prompts, budgets 25 %', share: 0.8 }]);
  });

  it('compares with the mean of the rounds, minutes apart, that nothing disturbed', () => {
    const { result } = fakeRun();
    const [point] = accuracyGrid(true);
    const outcome = (tokensPerSecond: number, utilization: number) => {
      const { prefill, decode } = result.phases;
      const lanes = { ...decode.lanes, device: { ...decode.lanes.device!, utilization } };
      return { ...result, tokensPerSecond, phases: { prefill, decode: { ...decode, lanes } } };
    };
    const conditions = (isDisturbed: boolean) => ({ stolenShare: 0, othersShare: 0.02, isDisturbed });
    const predicted = outcome(12, 0.5);
    const [slow, fast, disturbed] = [
      compare(point, outcome(8, 0.3), predicted, conditions(false)),
      compare(point, outcome(16, 0.5), predicted, conditions(false)),
      compare(point, outcome(1, 0.1), predicted, conditions(true)),
    ];
    expect(summarize([slow, fast])?.meanLaneError).toBeCloseTo(0.1, 10); // 0.2 and 0
    const mean = meanOfRounds([slow, disturbed, fast]);
    expect(mean).toMatchObject({ error: 0, conditions: conditions(false), predicted });
    expect(mean.measured.tokensPerSecond).toBe(12);
    expect(mean.laneError.lane).toBe('device');
    expect(mean.laneError.difference).toBeCloseTo(0.1, 10);
    expect(mean.atOwnPace.error).toBe(0);
    expect(meanOfRounds([slow])).toBe(slow);
    expect(meanOfRounds([disturbed, slow])).toBe(slow);
    expect(summarize([meanOfRounds([disturbed, disturbed])])).toBeNull();
  });

  it('judges no run that something else disturbed', () => {
    const { result } = fakeRun();
    const [first, second] = accuracyGrid(true);
    const outcome = (tokensPerSecond: number) => ({ ...result, tokensPerSecond });
    const conditions = (isDisturbed: boolean) => ({ stolenShare: 0, othersShare: 0.2, isDisturbed });
    const disturbed = compare(first, outcome(10), outcome(30), conditions(true));
    const judged = compare(second, outcome(20), outcome(22), conditions(false));
    expect(summarize([disturbed, judged])).toMatchObject({ runs: 1, disturbedRuns: 1 });
    expect(summarize([disturbed, judged])?.worstError).toBeCloseTo(0.1, 10);
    expect(summarize([disturbed])).toBeNull();
  });

  it('finds the points of a grid by the names that a sweep gives them, and says which it does not know', () => {
    for (const point of accuracyGrid(false))
      expect(pointNamed(groupOf(point), policyName(point))).toEqual(point);
    expect(() => pointNamed('3 prompts, budgets 25 %', 'none')).toThrow(
      /no point 3 prompts, budgets 25 %, none in the grid/,
    );
  });
});
