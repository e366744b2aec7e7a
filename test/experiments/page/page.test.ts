import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metricCharts, ratioCharts } from '../../../experiments/src/page/charts.js';
import { createSubject, renderPage } from '../../../experiments/src/page/index.js';
import { provenanceFacts } from '../../../experiments/src/page/provenance.js';
import { queueCharts } from '../../../experiments/src/page/queue-charts.js';
import { acceptanceCharts, predictionCharts } from '../../../experiments/src/page/run-charts.js';
import { bestPoint, cut } from '../../../experiments/src/page/slices.js';
import { pointTable } from '../../../experiments/src/page/table.js';
import { verdicts } from '../../../experiments/src/page/verdicts.js';
import type { PointRecord, RunRecord, StoredRun } from '../../../experiments/src/store/index.js';
import { callCli } from '../cli.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';
import { fakeRun } from '../fake-run.js';
import { hostile, recordAt, storeExperiment } from './experiment.js';

let results: string;
let stored: StoredRun[];
beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-page-'));
  stored = await storeExperiment(results);
});
afterAll(() => rm(results, { recursive: true, force: true }));

const asked = { name: 'test', question: `Which <b>system</b>? ${hostile}`, baseline: { system: 'FlexGen' } };
const subjectOf = (records: readonly RunRecord[], question: object = {}) =>
  createSubject(
    records.map((record) => ({ record, folder: '/nowhere' })),
    { name: 'test', question: '', ...question },
  );

it('says which GPU computed', () => {
  const record = fakeRecord({ axes: { system: 'a' }, tokensPerSecond: 1 });
  if (record.kind !== 'measured') throw new Error('a measured record was expected');
  const device = { name: 'some card', driver: '1.0', link: 'imported' as const, hasCopyQueue: true };
  const facts = provenanceFacts(subjectOf([{ ...record, result: { ...record.result, device } }]));
  expect(new Map(facts).get('computed on')).toEqual([expect.stringMatching(/^some cpu, .*; some card$/)]);
});

it('shows what the queues of a GPU did, where one told', () => {
  const record = fakeRecord({ axes: { system: 'a' }, tokensPerSecond: 1 });
  expect(queueCharts(subjectOf([record]))).toEqual([]);
  const use = { busySeconds: 0.6, utilization: 0.6, kernelSeconds: { matmul: 0.5, norm: 0.1 } };
  const result = { ...record.result, deviceUse: { compute: { prefill: use, decode: use }, copy: null } };
  const [chart] = queueCharts(subjectOf([{ ...record, result }]));
  expect(chart!.choices.map(({ label }) => label)).toEqual(['compute, decode', 'compute, prefill']);
  expect(JSON.stringify(chart!.choices[0]!.figure)).toContain('"x":[0.5]');
});

it('leaves out points that were run again later with other settings, and says so', () => {
  const at = (day: number, key: string, tokensPerSecond: number) => {
    const createdAt = new Date(Date.UTC(2026, 0, day));
    const record = fakeRecord({ axes: { system: 'a' }, tokensPerSecond, run: { createdAt } });
    return { ...record, point: { ...record.point!, pointKey: key.repeat(32) } };
  };
  const subject = subjectOf([at(1, 'a', 9), at(2, 'b', 5)]);
  expect(subject.runs.map(({ row }) => row.tokensPerSecond)).toEqual([5]);
  expect(verdicts(subject)).toContain(
    '1 point left out: run again later with the same settings, by other code, with another machine file or on another processor.',
  );
});

describe('the axes of a report', () => {
  it('are those that vary, without what follows from others', () => {
    const points = [
      { axes: { system: 'a', batch: 1, candidates: 2, machine: 'x' }, tokensPerSecond: 1 },
      { axes: { system: 'b', batch: 4, candidates: 2, machine: 'x' }, tokensPerSecond: 2 },
      { axes: { system: 'b', batch: 4, candidates: 4, machine: 'x' }, tokensPerSecond: 3 },
    ];
    expect(subjectOf(points.map(fakeRecord)).axes.map(({ name }) => name)).toEqual(['system', 'candidates']);
  });

  it('are found in the settings of runs that no experiment asked for', () => {
    const records = [2, 4].flatMap((candidates) => {
      const { point: _point, ...record } = fakeRecord({ axes: { candidates }, tokensPerSecond: candidates });
      return [record];
    });
    const { axes, points } = subjectOf(records, { baseline: { candidates: 2 } });
    expect(axes).toEqual([{ name: 'candidates', column: 'candidates', values: [2, 4] }]);
    expect(points.map(({ overBaseline }) => overBaseline?.ratio)).toEqual([2, undefined]);
  });

  it('stand beside what computed, who proposed and how tokens were drawn, where no experiment says it', () => {
    const { point: _point, ...record } = fakeRecord({ axes: { candidates: 2 }, tokensPerSecond: 2 });
    const sampling = { temperature: 0.8 };
    const drawing = { ...record, spec: { ...fakeRun().spec, sampling } } as typeof record;
    const subject = subjectOf([drawing]);
    expect([subject.axes, subject.told]).toEqual([
      [],
      ['target', 'drafter', 'device', 'sampling.temperature'],
    ]);
    expect(pointTable(subject)).toMatch(/<button type="button">sampling.temperature<.*data-value="0.8"/s);
  });

  it('have the baseline among them', () => {
    const records = [fakeRecord({ axes: { system: 'a' }, tokensPerSecond: 1 })];
    expect(() => subjectOf(records, { baseline: { system: 'b' } })).toThrow(
      'invalid baseline: system=b; expected an axis of the experiment and one of its values: a',
    );
  });
});

describe('slices', () => {
  const records = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((batch) =>
    [1, 2, 3].flatMap((candidates) =>
      ['code', 'prose'].map((workload) =>
        recordAt({ workload, batch, candidates }, batch === 7 ? 50 : candidates),
      ),
    ),
  );
  const subject = subjectOf(records);
  const axis = (name: string) => subject.axes.find((each) => each.name === name)!;

  it('are one for each combination of what is not shown', () => {
    const { slices, optimized } = cut(subject, [axis('batch')]);
    expect(optimized).toEqual([]);
    expect(slices.map(({ label }) => label)).toEqual(
      ['code', 'prose']
        .flatMap((text) => [1, 2, 3].map((c) => `workload ${text}, candidates ${c}`))
        .sort((a, b) => Number(a.at(-1)) - Number(b.at(-1))),
    );
    expect(slices.every(({ rows }) => rows.length === 12)).toBe(true);
  });

  it('take what can be chosen at its best, and never a text', () => {
    const { slices, optimized } = cut(subject, [axis('candidates')], true);
    expect(optimized.map(({ name }) => name)).toEqual(['batch']);
    expect(slices.map(({ label }) => label)).toEqual(['workload code', 'workload prose']);
    expect(slices[0].rows.map(({ batch, candidates }) => [batch, candidates])).toEqual([
      [7, 1],
      [7, 2],
      [7, 3],
    ]);
  });

  it('know the best by the median, or the least where less is better', () => {
    expect(bestPoint(subject.runs, subject)[0].record.point.axes.batch).toBe(7);
    expect(bestPoint(subject.runs, { ...subject, lowerIsBetter: true })[0].record.point.axes.candidates).toBe(
      1,
    );
  });
});

describe('charts', () => {
  it('are chosen from the axes: bars against the baseline, a curve over the sweep, ratios', () => {
    const subject = createSubject(stored, asked);
    expect(
      metricCharts(subject).map(({ heading, choices }) => [heading, choices.map(({ label }) => label)]),
    ).toEqual([
      ['Side by side, best candidates', ['']],
      ['Over candidates', ['workload code', 'workload prose']],
    ]);
    expect(ratioCharts(subject)[0].choices[0].figure.data).toHaveLength(1);
    expect(acceptanceCharts(subject)).toHaveLength(1);
  });

  it('map two sweeps against each other', () => {
    const records = [1, 2, 4].flatMap((a) =>
      [8, 16, 32].map((b) => fakePrediction({ axes: { a, b }, tokensPerSecond: a * b })),
    );
    expect(metricCharts(subjectOf(records)).map(({ heading }) => heading)).toContain('Over a and b');
  });

  it('hold predictions against measurements of the same point', () => {
    const at = { axes: { system: 'a', n: 1 }, tokensPerSecond: 10 };
    const other = { axes: { system: 'b', n: 1 }, tokensPerSecond: 20 };
    const records = [fakeRecord(at), fakePrediction({ ...at, tokensPerSecond: 11 }), fakeRecord(other)];
    const [chart] = predictionCharts(subjectOf(records));
    expect(JSON.stringify(chart!.choices[0].figure.layout.title)).toContain('1 pairs, mean error 10.0 %');
    expect(predictionCharts(subjectOf([fakeRecord(at), fakeRecord(other)]))).toEqual([]);
  });

  it('add up the acceptance of repeats, and of nothing else: other points are to be chosen', () => {
    const accepting = (axes: PointRecord['axes'], repeat: number, ...accepted: number[]) => {
      const record = recordAt(axes, 1, repeat);
      const byPosition = accepted.map((each) => ({ proposed: 100, accepted: each }));
      const acceptance = { ...record.result.acceptance!, byPosition };
      return { ...record, result: { ...record.result, acceptance } };
    };
    const records = [
      accepting({ system: 'a', acceptance: 0.5 }, 0, 50, 25),
      accepting({ system: 'a', acceptance: 0.5 }, 1, 60, 30),
      accepting({ system: 'a', acceptance: 0.9 }, 0, 90, 81),
      accepting({ system: 'b', acceptance: 0.9 }, 0, 80, 64),
    ];
    const [chart] = acceptanceCharts(subjectOf(records));
    const linesOf = (choice: number) =>
      (chart!.choices[choice].figure.data as { name: string; xaxis?: string; y: number[] }[])
        .filter(({ xaxis }) => xaxis === undefined)
        .map(({ name, y }) => [name, y]);
    expect(chart!.choices.map(({ label }) => label)).toEqual(['acceptance 0.5', 'acceptance 0.9']);
    expect(linesOf(0)).toEqual([['a', [0.55, 0.5]]]);
    expect(linesOf(1)).toEqual([
      ['a', [0.9, 0.9]],
      ['b', [0.8, 0.8]],
    ]);
    expect(JSON.stringify(chart!.choices[0].figure.layout.title)).toContain('2 runs of one point');
  });

  it('exist for a single run as well', () => {
    const subject = subjectOf([fakeRecord({ axes: {}, tokensPerSecond: 3 })]);
    expect(metricCharts(subject)).toHaveLength(1);
    expect(verdicts(subject)).toEqual(['The only point (measured): throughput 3.00 tokens/s, one run.']);
  });
});

describe('verdicts', () => {
  it('say what repeats decide', () => {
    const [best, comparison] = verdicts(createSubject(stored, { ...asked, question: '' }));
    expect(best).toContain('The highest of 12 points (measured): throughput 36.4 tokens/s');
    expect(best).toContain('median of 3 runs, 95 % interval');
    expect(comparison).toContain('(measured): 2.00 to 2.00 times FlexGen at 6 points; faster in 6.');
  });

  it('decide nothing by single measurements, nor by predictions of one seed', () => {
    const points = [
      { axes: { system: 'a' }, tokensPerSecond: 10 },
      { axes: { system: 'b' }, tokensPerSecond: 20 },
    ];
    const baseline = { system: 'a' };
    expect(verdicts(subjectOf(points.map(fakeRecord), { baseline }))[1]).toBe(
      'b (measured): 2.00 times a: no verdict: one run each, 3 are needed.',
    );
    expect(verdicts(subjectOf(points.map(fakePrediction), { baseline }))[1]).toBe(
      'b (simulated): 2.00 times a: no verdict: a prediction of one seed.',
    );
  });

  it('mention what disturbed the machine', () => {
    const subject = subjectOf([fakeRecord({ axes: {}, tokensPerSecond: 3, isDisturbed: true })]);
    expect(verdicts(subject)[1]).toMatch(/^The machine was busy with something else during 1 run;/);
  });
});

describe('the page', () => {
  it('shows text from records and obeys none of it', async () => {
    const { html, numTimelines } = await renderPage(createSubject(stored, asked));
    expect(numTimelines).toBe(12);
    const [head, ...scripts] = html.split('<script');
    expect(head).not.toContain('<img');
    expect(head).toContain(
      'Which &lt;b&gt;system&lt;/b&gt;? &lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;',
    );
    for (const script of scripts) expect(script.split('</script>').length).toBe(2);
    expect(scripts.some((script) => script.split('</script>')[0].includes('\u2028'))).toBe(false);
    expect(html.split("DecompressionStream('gzip'))).text()")).toHaveLength(2);
    expect(/(src|href)="(?!data:)/.test(html)).toBe(false);
  });

  it('names kinds, machine and code', async () => {
    const { html } = await renderPage(createSubject(stored, asked));
    const texts = ['36 measured', 'some cpu, 2 cores', 'cccccccccccc', 'onnxruntime-node 1.30.0', 'digest'];
    expect(texts.filter((text) => !html.includes(text))).toEqual([]);
  });

  it('survives a trace that is none', async () => {
    const warnings: string[] = [];
    const folder = stored[0].folder;
    const whole = await readFile(join(folder, 'trace.json.gz'));
    await writeFile(join(folder, 'trace.json.gz'), 'no trace');
    const { numTimelines } = await renderPage(createSubject(stored, asked), (sentence) =>
      warnings.push(sentence),
    );
    await writeFile(join(folder, 'trace.json.gz'), whole);
    expect(numTimelines).toBe(11);
    expect(warnings).toEqual([expect.stringContaining('trace.json.gz is no packed JSON')]);
  });
});

describe('specoffload report', () => {
  it('writes the page where it is told, whole, and says so in one document', async () => {
    const out = join(results, 'page', 'here.html');
    const { exitCode, stdout } = await callCli([
      'report',
      'test',
      '--results',
      results,
      '--out',
      out,
      '--json',
    ]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ experiment: 'test', path: out, runs: 36, timelines: 12 });
    expect(await readFile(out, 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect(await readdir(join(results, 'page'))).toEqual(['here.html']);
  });

  it.each([
    [
      ['nothing-here'],
      1,
      /^specoffload: no run of nothing-here in .*: it holds test; run specoffload sweep first/,
    ],
    [
      ['test', '--baseline', 'system'],
      2,
      /^specoffload: invalid --baseline: system; expected an axis and a value/,
    ],
    [
      ['test', '--baseline', 'system=Other'],
      1,
      /^specoffload: invalid --baseline: system=Other; expected an axis/,
    ],
    [
      ['test', '--metric', 'beauty'],
      2,
      /^specoffload: invalid --metric: "beauty"; expected tokensPerSecond, /,
    ],
    [['../test'], 2, /^specoffload: invalid experiment: \.\.\/test; expected a folder's name/],
    [
      ['test', '--out', '/dev/null/page.html'],
      1,
      /^specoffload: cannot write \/dev\/null\/page.html: a part of its path is no folder \(ENOTDIR\); choose another --out$/m,
    ],
  ])('refuses %j', async (args, expected, sentence) => {
    const { exitCode, stderr } = await callCli(['report', ...args, '--results', results]);
    expect(stderr).toMatch(sentence);
    expect(exitCode).toBe(expected);
  });
});
