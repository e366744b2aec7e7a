/** What each axis brings, and what two bring together, as a chart and as tables. */

import { escapeHtml } from '@specoffload/kernel';
import { ratioTable } from '../figures/index.js';
import { formatValue } from '../figures/labels.js';
import { type Effects, type EffectTable, effectsOf, effectTables, isComplete } from '../statistics/index.js';
import type { Chart } from './charts.js';
import type { Subject } from './subject.js';

/** More effects than this are a table's business. */
const mostDrawn = 24;

/** Nothing unless every combination of several axes was run. */
export function completeEffects(subject: Subject): Effects[] {
  const records = subject.runs.map(({ record }) => record);
  return effectsOf(records, subject).filter(isComplete);
}

export const effectTablesOf = (effects: Effects): EffectTable[] =>
  effectTables(effects, (axis, value) => formatValue(axis, value));

export function effectCharts(subject: Subject): Chart[] {
  const choices = completeEffects(subject).flatMap((effects) =>
    effectTablesOf(effects).flatMap(({ title, rows }) => {
      const lines = rows
        .slice(0, mostDrawn)
        .flatMap(({ name, effect: { ratio, low, high, verdict } }) =>
          ratio === null ? [] : [{ name, ratio, low, high, verdict }],
        );
      if (lines.length === 0) return [];
      const cut = rows.length > mostDrawn ? `the first ${mostDrawn} of ${rows.length}; ` : '';
      const subtitle = `${cut}${subject.metric}; bars are 95 % intervals, where there are runs enough`;
      return [{ label: title, figure: ratioTable(lines, { title, subtitle }) }];
    }),
  );
  return choices.length === 0 ? [] : [{ heading: 'Effects of the axes', choices }];
}

/** Empty where there are none. */
export function effectTablesHtml(subject: Subject): string {
  return completeEffects(subject).flatMap(effectTablesOf).map(tableHtml).join('\n');
}

function tableHtml({ title, rows, numLeftOut }: EffectTable): string {
  const number = (value: number | null) =>
    value === null
      ? '<td class="number"></td>'
      : `<td class="number" data-value="${value}">${value.toFixed(3)}</td>`;
  const head = ['what', 'times', '95 % from', 'to', 'verdict'].map(
    (text, i) =>
      `<th scope="col"${i % 4 === 0 ? '' : ' class="number"'}><button type="button">${text}</button></th>`,
  );
  const body = rows.map(
    ({ name, effect: { ratio, low, high }, verdict }) =>
      `<tr><td>${escapeHtml(name)}</td>${[ratio, low, high].map(number).join('')}<td>${escapeHtml(verdict)}</td></tr>`,
  );
  const rest = numLeftOut > 0 ? `<p class="note">${numLeftOut} more are nearer to 1.</p>` : '';
  return `<p class="note">${escapeHtml(title)}</p><div class="scroll"><table class="sortable"><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>${rest}`;
}
