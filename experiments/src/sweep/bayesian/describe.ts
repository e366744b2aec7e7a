/** What a Bayesian search found, and whether it found it out, in sentences. */

import { describeAxes } from '../../definitions/expand.js';
import { formatCount, plural, threeDigits } from '../../terminal/format.js';
import type { FrontPoint, SearchReport } from './bayesian.js';

const mostShown = 12;

export function describeSearch(report: SearchReport): string[] {
  const { steps, points, front, objectives } = report;
  const of = `${formatCount(steps.length)} of ${plural(points, 'point')}`;
  if (front.length === 0) return [`tried ${of}, and no run can serve any of them`];
  const amounts = ({ values }: FrontPoint) =>
    values.map((value, i) => `${objectives[i]!.metric} ${threeDigits(value)}`).join(', ');
  const lines = front
    .slice(0, mostShown)
    .map((point) => `${amounts(point)} at ${describeAxes(point.axes)}, ${plural(point.runs, 'run')}`);
  const more = front.length > mostShown ? [`  and ${plural(front.length - mostShown, 'more point')}`] : [];
  const found =
    objectives.length === 1
      ? [`tried ${of}; best: ${lines[0]}`]
      : [`tried ${of}; none is better in all than these:`, ...lines.map((line) => `  ${line}`), ...more];
  return [...found, describeConvergence(report)];
}

/** Whether more would be found, as far as the search believes. */
export function describeConvergence({
  remainingGain,
  isConverged,
  steps,
  points,
}: Pick<SearchReport, 'remainingGain' | 'isConverged' | 'points'> & {
  readonly steps: readonly unknown[];
}): string {
  if (steps.length >= points || remainingGain === null) return 'every point was tried';
  const gain = remainingGain < 1e-4 ? 'less than 0.01 %' : `${(100 * remainingGain).toPrecision(2)} %`;
  if (isConverged) return `converged: of the next point ${gain} more is expected`;
  return `NOT converged: of the next point ${gain} more is expected; --rounds ${formatCount(Math.min(points, 2 * steps.length))} goes on`;
}
