/** How the points were searched: a chart of the steps, the front of several objectives, and what was believed. */

import { escapeHtml } from '@specoffload/kernel';
import { describeAxes } from '../definitions/expand.js';
import { type SearchPoint, searchCourse, searchFront } from '../figures/index.js';
import { formatValue, titleOfColumn } from '../figures/labels.js';
import type { RecordedSearch, RecordedStep } from '../sweep/recorded-search.js';
import type { Chart } from './charts.js';
import { numberCell, sortableTable, textCell } from './sortable-table.js';

export function searchCharts({ objectives, steps, sentence }: RecordedSearch): Chart[] {
  const [one, two, ...more] = objectives;
  const points = steps.map((step, i) => toPoint(step, i));
  const reached = points.filter((point) => point !== null);
  if (one === undefined || reached.length === 0) return [];
  const titles = { subtitle: sentence };
  const course = { label: 'step by step', figure: searchCourse(points, [one], titles) };
  if (two === undefined) return [{ heading: 'How it was searched', choices: [course] }];
  const front = { label: 'front', figure: searchFront(reached, [one, two, ...more], titles) };
  return [{ heading: 'How it was searched', choices: [front, course] }];
}

function toPoint({ axes, values, belief, runs }: RecordedStep, index: number): SearchPoint | null {
  if (values === null) return null;
  const lines = [`step ${index + 1}: ${describeAxes(axes)}`, `${runs} run${runs === 1 ? '' : 's'}`, belief];
  return { values, lines };
}

/** More steps than this are a file's business. */
const mostSteps = 200;

export function searchTable({ objectives, steps, sentence }: RecordedSearch): string {
  const titles = ['step', 'at', 'believed', ...objectives.map(({ metric }) => titleOfColumn(metric)), 'runs'];
  const heads = titles.map((title, column) => ({ title, isNumber: column === 0 || column > 2 }));
  const rows = steps
    .slice(0, mostSteps)
    .map(({ axes, values, belief, runs }, i) => [
      numberCell(i + 1, String),
      textCell(describeAxes(axes)),
      textCell(values === null ? 'cannot be run' : belief),
      ...objectives.map(({ metric }, j) => numberCell(values?.[j], (value) => formatValue(metric, value))),
      numberCell(runs, String),
    ]);
  const rest =
    steps.length > mostSteps
      ? `<p class="note">The first ${mostSteps} of ${steps.length} steps; all are in <code>beliefs.json</code>.</p>`
      : '';
  return `<p class="note">${escapeHtml(sentence)}</p>${sortableTable(heads, rows)}${rest}`;
}
