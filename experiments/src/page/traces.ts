/** Timelines and memory of runs that kept their trace. */

import type { ParsedTrace } from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { laneTimeline, memoryOverTime } from '../figures/index.js';
import { formatValue } from '../figures/labels.js';
import { readPackedTrace, unpackTrace } from '../store/index.js';
import type { Chart } from './charts.js';
import { representatives } from './run-charts.js';
import type { PageRun, Subject } from './subject.js';

/** Timelines in a page: some 60 kB each. */
const mostTimelines = 16;
/** Bars in each. */
const mostBars = 2500;
/** Steps of memory in each; more cannot be told apart. */
const mostSteps = 4000;

export interface TraceCharts {
  readonly charts: readonly Chart[];
  /** Runs that have a trace. */
  readonly numTraces: number;
  readonly numShown: number;
}

/** @param onWarning told of each trace that cannot be read */
export async function traceCharts(
  subject: Subject,
  onWarning: (sentence: string) => void,
): Promise<TraceCharts> {
  const timelines: Chart['choices'][number][] = [];
  const memories: Chart['choices'][number][] = [];
  const traced = await runsWithTrace(orderedRuns(subject), onWarning);
  for (const { run, packed } of traced) {
    if (timelines.length === mostTimelines) break;
    const trace = await unpackTrace(run.folder, packed).catch((error) => {
      if (!(error instanceof UserError)) throw error;
      onWarning(error.message);
      return null;
    });
    if (trace === null || trace.spans.length === 0) continue;
    const label = describeRunAt(run, subject);
    const subtitle = `${run.record.kind}, ${shorten(label)}; drag to zoom, double-click to go back`;
    timelines.push({
      label,
      figure: laneTimeline(trace.spans, { title: 'lanes over time', subtitle, mostBars }),
    });
    const pools = poolsOf(run, trace);
    if (pools.length > 0)
      memories.push({ label, figure: memoryOverTime(pools, { subtitle: `${run.record.kind}, ${label}` }) });
  }
  const charts = [
    ...(timelines.length > 0 ? [{ heading: 'Timeline', choices: timelines }] : []),
    ...(memories.length > 0 ? [{ heading: 'Memory', choices: memories }] : []),
  ];
  return { charts, numTraces: traced.length, numShown: timelines.length };
}

/** Those that stand for others first, then the rest, each point's first repeat before its second. */
function orderedRuns(subject: Subject): PageRun[] {
  const first = representatives(subject).flatMap(({ runs }) => runs.slice(0, 1));
  const rest = [...subject.runs].sort((a, b) => a.record.repeat - b.record.repeat);
  return [...new Set([...first, ...rest])];
}

interface TracedRun {
  readonly run: PageRun;
  readonly packed: Buffer;
}

async function runsWithTrace(
  runs: readonly PageRun[],
  onWarning: (sentence: string) => void,
): Promise<TracedRun[]> {
  const traced: TracedRun[] = [];
  for (const run of runs) {
    const packed = await readPackedTrace(run.folder).catch((error) => {
      if (!(error instanceof UserError)) throw error;
      onWarning(`${error.message}; the record stands without`);
      return null;
    });
    if (packed !== null) traced.push({ run, packed });
  }
  return traced;
}

/** The axes' values; with the repeat where a point has several. */
export function describeRunAt({ record }: PageRun, { axes, runs }: Subject): string {
  const values = axes.map(({ name }) => formatValue(name, record.point.axes[name]));
  const hasRepeats = runs.some((other) => other.record.repeat > 0);
  return [
    ...(values.length > 0 ? values : [record.strategy]),
    ...(hasRepeats ? [`repeat ${record.repeat + 1}`] : []),
  ].join(', ');
}

/** The buttons stand beside it. */
const shorten = (label: string) => (label.length > 50 ? `${label.slice(0, 49)}…` : label);

function poolsOf({ record }: PageRun, { memory, spans }: ParsedTrace) {
  const endSeconds = spans.reduce((end, span) => Math.max(end, span.endSeconds), 0);
  return (['device', 'host'] as const).flatMap((name) => {
    const steps = memory[name];
    const last = steps.at(-1);
    if (!last) return [];
    const samples = thinOut(steps, mostSteps);
    const held = last.seconds < endSeconds ? [{ seconds: endSeconds, bytes: last.bytes }] : [];
    return { name, samples: [...samples, ...held], budgetBytes: record.result.memory[name].budgetBytes };
  });
}

/** Of each stretch its highest step, so that no peak is lost. */
function thinOut(steps: ParsedTrace['memory']['device'], most: number) {
  if (steps.length <= most) return steps;
  const stride = Math.ceil(steps.length / most);
  return Array.from({ length: Math.ceil(steps.length / stride) }, (_, i) =>
    steps.slice(i * stride, (i + 1) * stride).reduce((a, b) => (b.bytes > a.bytes ? b : a)),
  );
}
