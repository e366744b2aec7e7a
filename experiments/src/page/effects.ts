/** What each axis brings, and what two bring together, as a chart and as tables. */

import { escapeHtml } from '@specoffload/kernel';
import { ratioTable } from '../figures/index.js';
import { formatValue } from '../figures/labels.js';
import { type EffectTable, effectsOf, effectTables, isComplete } from '../statistics/index.js';
import type { Chart } from './charts.js';
import { numberCell, sortableTable, textCell } from './sortable-table.js';
import type { Subject } from './subject.js';

/** More effects than this are a table's business. */
const mostDrawn = 24;

/** Nothing unless every combination of several axes was run. */
export function tablesOfEffects(subject: Subject): EffectTable[] {
  const records = subject.runs.map(({ record }) => record);
  return effectsOf(records, subject)
    .filter(isComplete)
    .flatMap((effects) => effectTables(effects, (axis, value) => formatValue(axis, value)));
}

export function effectCharts(tables: readonly EffectTable[], { metric }: Subject): Chart[] {
  const choices = tables.flatMap(({ title, rows }) => {
    const lines = rows
      .slice(0, mostDrawn)
      .flatMap(({ name, effect: { ratio, low, high, verdict } }) =>
        ratio === null ? [] : [{ name, ratio, low, high, verdict }],
      );
    if (lines.length === 0) return [];
    const cut = rows.length > mostDrawn ? `the first ${mostDrawn} of ${rows.length}; ` : '';
    const subtitle = `${cut}${metric}; bars are 95 % intervals, where there are runs enough`;
    return [{ label: title, figure: ratioTable(lines, { title, subtitle }) }];
  });
  return choices.length === 0 ? [] : [{ heading: 'Effects of the axes', choices }];
}

const heads = ['what', 'times', '95 % from', 'to', 'verdict'].map((title, i) => ({
  title,
  isNumber: i % 4 !== 0,
}));

export function effectTableHtml({ title, rows, numLeftOut }: EffectTable): string {
  const cells = rows.map(({ name, effect: { ratio, low, high }, verdict }) => [
    textCell(name),
    ...[ratio, low, high].map((value) => numberCell(value, (number) => number.toFixed(3))),
    textCell(verdict),
  ]);
  const rest = numLeftOut > 0 ? `<p class="note">${numLeftOut} more are nearer to 1.</p>` : '';
  return `<p class="note">${escapeHtml(title)}</p>${sortableTable(heads, cells)}${rest}`;
}
