/** A table that a click on a head sorts. */

import { escapeHtml } from '@specoffload/kernel';

export interface Head {
  readonly title: string;
  readonly isNumber: boolean;
}

/** @param rows of cells, in HTML */
export function sortableTable(heads: readonly Head[], rows: readonly (readonly string[])[]): string {
  const head = heads.map(
    ({ title, isNumber }) =>
      `<th scope="col"${isNumber ? ' class="number"' : ''}><button type="button">${escapeHtml(title)}</button></th>`,
  );
  const body = rows.map((cells) => `<tr>${cells.join('')}</tr>`);
  return `<div class="scroll"><table class="sortable"><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

export function textCell(text: string): string {
  return `<td>${escapeHtml(text)}</td>`;
}

/** Sorted by the number, not by how it is written; empty where there is none. */
export function numberCell(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined
    ? '<td class="number"></td>'
    : `<td class="number" data-value="${value}">${escapeHtml(format(value))}</td>`;
}
