/** Cuts a space of many axes into pictures of two or three: the rest is chosen from a list, or taken at its best. */

import { median } from 'simple-statistics';
import type { FigureRow } from '../figures/index.js';
import { formatValue } from '../figures/labels.js';
import { pointIdOf, pointOf } from '../store/index.js';
import type { PageAxis, PageRun, Subject } from './subject.js';

/** More pictures than this are too many to choose from. */
const mostSlices = 24;

export interface Slice {
  /** `workload code, maxNewTokens 32`; empty for the only one. */
  readonly label: string;
  readonly rows: readonly FigureRow[];
  /** What the rows are of. */
  readonly runs: readonly PageRun[];
}

export interface Cut {
  readonly slices: readonly Slice[];
  /** Axes that are taken at their best, for the subtitle. */
  readonly optimized: readonly PageAxis[];
}

/**
 * One slice per combination of the axes that are not `shown`. Where these are too many, or one asks for the best, those
 * that somebody can choose, such as a batch, are taken at their best; those that are given, such as a workload, last.
 */
export function cut(subject: Subject, shown: readonly PageAxis[], takesBest = false): Cut {
  const rest = subject.axes.filter((axis) => !shown.includes(axis));
  const optimized = takesBest ? rest.filter((axis) => !isGiven(axis)) : [];
  const chosen = rest.filter((axis) => !optimized.includes(axis));
  while (chosen.reduce((product, { values }) => product * values.length, 1) > mostSlices) {
    const largest = chosen.reduce((a, b) => (weightOf(b) > weightOf(a) ? b : a));
    chosen.splice(chosen.indexOf(largest), 1);
    optimized.push(largest);
  }
  const groups = groupBy(subject.runs, ({ record }) => describeAt(record.point.axes, chosen));
  const kept = [...shown, ...chosen];
  const slices = [...groups].map(([label, runs]) => {
    const shownRuns = optimized.length > 0 ? bestOf(runs, kept, subject) : runs;
    return { label, rows: shownRuns.map(({ row }) => row), runs: shownRuns };
  });
  return { slices, optimized };
}

/** A workload or a model is given, a batch is chosen: the latter is what one takes the best of. */
const givenNames =
  /workload|dataset|model|target|draft$|machine|environment|tokens|prompts|acceptance|length/i;

const isGiven = ({ name }: PageAxis) => givenNames.test(name);
const weightOf = (axis: PageAxis) => axis.values.length * (isGiven(axis) ? 1 : 1000);

function describeAt(axes: Readonly<Record<string, unknown>>, chosen: readonly PageAxis[]): string {
  return chosen.map(({ name }) => `${name} ${formatValue(name, axes[name])}`).join(', ');
}

/** Of the points that agree in `kept`, the runs of the best one. Kinds are judged apart. */
function bestOf(runs: readonly PageRun[], kept: readonly PageAxis[], subject: Subject): PageRun[] {
  const groups = groupBy(runs, ({ record }) =>
    JSON.stringify([record.kind, kept.map(({ name }) => record.point.axes[name])]),
  );
  return [...groups.values()].flatMap((members) => bestPoint(members, subject));
}

/** The runs of the best point, by the median of its metric. */
export function bestPoint(runs: readonly PageRun[], { metric, lowerIsBetter }: Subject): PageRun[] {
  const points = [...groupBy(runs, ({ record }) => pointIdOf(pointOf(record))).values()];
  let best: PageRun[] = [];
  let bestValue = Number.NEGATIVE_INFINITY;
  for (const members of points) {
    const values = members.map(({ row }) => row[metric]).filter((value) => typeof value === 'number');
    if (values.length === 0) continue;
    const value = lowerIsBetter ? -median(values) : median(values);
    if (value > bestValue) [best, bestValue] = [members, value];
  }
  return best;
}

export function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
