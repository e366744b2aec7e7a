/** What an experiment found, in sentences that claim no more than its runs say. */

import { largest, smallest } from '@specoffload/engine';
import { formatValue, nameOfColumn } from '../figures/labels.js';
import {
  describeSuperseded,
  describeTooFew,
  describeVerdict,
  type RankedPoint,
  type Verdict,
} from '../statistics/index.js';
import { columns } from '../store/index.js';
import { formatBytes, formatCount, plural, threeDigits } from '../terminal/format.js';
import { groupBy } from './slices.js';
import type { Subject } from './subject.js';

const mostSentences = 12;

export function verdicts(subject: Subject): string[] {
  const kinds = groupBy(subject.points, ({ kind }) => kind);
  return [
    ...[...kinds].flatMap(([kind, points]) => [describeBest(subject, points, kind)]),
    ...describeComparisons(subject).slice(0, mostSentences),
    ...describeDisturbed(subject),
    ...subject.notes,
    ...(subject.numSuperseded > 0 ? [`${describeSuperseded(subject.numSuperseded)}.`] : []),
  ];
}

function describeBest(
  { axes, metric, lowerIsBetter }: Subject,
  points: readonly RankedPoint[],
  kind: string,
): string {
  const [best] = points as [RankedPoint];
  const unit = columns.find(({ name }) => name === metric)?.unit ?? '';
  const bare = (amount: number) =>
    unit === 'tokens/s' || unit === 's' ? threeDigits(amount) : formatAmount(amount, unit);
  const { n, median: value, low, high } = best.sample;
  const at = axes.map(({ name }) => `${name} ${formatValue(name, best.axes[name])}`).join(', ');
  const interval = low === null || high === null ? '' : `, 95 % interval ${bare(low)} to ${bare(high)}`;
  const few = best.kind === 'simulated' ? 'a prediction of one seed' : 'one run';
  const runs = n === 1 ? few : `median of ${n} ${best.kind === 'simulated' ? 'seeds' : 'runs'}${interval}`;
  const which =
    points.length === 1
      ? 'The only point'
      : `The ${lowerIsBetter ? 'lowest' : 'highest'} of ${formatCount(points.length)} points`;
  const amount = formatAmount(value, unit);
  return `${which} (${kind}): ${nameOfColumn(metric)} ${amount}${at === '' ? '' : ` at ${at}`}, ${runs}.`;
}

function formatAmount(value: number, unit: string): string {
  if (unit === '0 to 1') return `${(100 * value).toFixed(1)} %`;
  return unit === 'B' ? formatBytes(value) : `${threeDigits(value)} ${unit}`.trim();
}

/** One sentence for each value of the baseline's axes, over all other axes. */
function describeComparisons({ points, baseline }: Subject): string[] {
  const compared = points.filter(({ overBaseline }) => overBaseline?.ratio != null);
  const names = Object.keys(baseline);
  const groups = groupBy(
    compared,
    ({ axes, kind }) => `${names.map((name) => String(axes[name])).join(', ')} (${kind})`,
  );
  const over = Object.values(baseline).join(', ');
  return [...groups]
    .sort(([, a], [, b]) => mostRatio(b) - mostRatio(a))
    .map(([name, members]) => {
      if (members.length === 1) return describeOne(name, members[0], over);
      const ratios = members.map(({ overBaseline }) => overBaseline!.ratio!);
      const range = `${threeDigits(smallest(ratios))} to ${threeDigits(largest(ratios))}`;
      const count = (verdict: Verdict) =>
        members.filter(({ overBaseline }) => overBaseline!.verdict === verdict).length;
      const counts = (['faster', 'slower', 'not distinguishable', 'no verdict'] as const)
        .map((verdict) => [verdict, count(verdict)] as const)
        .filter(([, number]) => number > 0)
        .map(([verdict, number]) => `${verdict} in ${number}`);
      const few = members.find(({ overBaseline }) => overBaseline!.verdict === 'no verdict');
      const reason = few ? ` (${describeTooFew(few.kind, few.overBaseline!.n)})` : '';
      return `${name}: ${range} times ${over} at ${plural(members.length, 'point')}; ${counts.join(', ')}${reason}.`;
    });
}

function describeOne(name: string, point: RankedPoint, over: string): string {
  const { ratio, low, high } = point.overBaseline!;
  const interval =
    low === null || high === null ? '' : `, 95 % interval ${threeDigits(low)} to ${threeDigits(high)}`;
  return `${name}: ${threeDigits(ratio!)} times ${over}${interval}: ${describeVerdict(point)}.`;
}

const mostRatio = (points: readonly RankedPoint[]) =>
  largest(points.map(({ overBaseline }) => overBaseline!.ratio!));

function describeDisturbed({ points }: Subject): string[] {
  const disturbed = points.reduce((sum, { numDisturbed }) => sum + numDisturbed, 0);
  if (disturbed === 0) return [];
  return [
    `The machine was busy with something else during ${plural(disturbed, 'run')}; they are marked in the table.`,
  ];
}
