/** Rows and danfo frames as tables that people can read: numbers rounded and aligned, long tables cut with a note. */

import { escapeHtml } from './escape.js';

export type TableRow = Readonly<Record<string, unknown>>;

/** The part of a danfo DataFrame or Series that is needed here; danfo itself is not imported. */
export interface FrameLike {
  readonly columns: readonly string[];
  /** (row, column) of a frame, (row) of a series. */
  readonly values: readonly unknown[];
}

export interface TableOptions {
  /** Columns to show, in order. @default all, as they come */
  readonly columns?: readonly string[];
  /** Heading by column, where its name will not do. */
  readonly titles?: Readonly<Record<string, string>>;
  /** Significant digits of numbers that are not whole. @default 4 */
  readonly digits?: number;
  /** Rows shown; the note below says how many there are. @default 50 */
  readonly mostRows?: number;
  /** Line above the table. */
  readonly caption?: string;
}

/** A table as text cells, ready for any form. */
export interface CellTable {
  readonly caption: string;
  readonly titles: readonly string[];
  /** Whether a column's filled cells are all numbers. */
  readonly isNumeric: readonly boolean[];
  readonly rows: readonly (readonly string[])[];
  /** Rows that were cut. */
  readonly numLeftOut: number;
}

export function toCellTable(source: FrameLike | readonly TableRow[], options: TableOptions = {}): CellTable {
  const { titles = {}, digits = 4, mostRows = 50, caption = '' } = options;
  const rows = toRows(source);
  const columns = options.columns ?? [...new Set(rows.flatMap(Object.keys))];
  const shown = rows.slice(0, mostRows);
  return {
    caption,
    titles: columns.map((column) => titles[column] ?? column),
    isNumeric: columns.map((column) => isNumericColumn(rows, column)),
    rows: shown.map((row) => columns.map((column) => formatCell(row[column], digits))),
    numLeftOut: rows.length - shown.length,
  };
}

function toRows(source: FrameLike | readonly TableRow[]): readonly TableRow[] {
  if (isRowList(source)) return source;
  if (!Array.isArray(source?.columns) || !Array.isArray(source.values))
    throw new TypeError('invalid table: expected a list of row objects or a danfo DataFrame or Series');
  const { columns, values } = source;
  return values.map((value) => {
    const cells = Array.isArray(value) ? value : [value];
    return Object.fromEntries(columns.map((column, i) => [column, cells[i]]));
  });
}

function isRowList(source: FrameLike | readonly TableRow[]): source is readonly TableRow[] {
  return Array.isArray(source);
}

function isNumericColumn(rows: readonly TableRow[], column: string): boolean {
  const filled = rows.map((row) => row[column]).filter((value) => value !== null && value !== undefined);
  return filled.length > 0 && filled.every((value) => typeof value === 'number');
}

function formatCell(value: unknown, digits: number): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return formatNumber(value, digits);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Whole numbers whole; others to so many significant digits, in powers of ten where they are far from 1. */
export function formatNumber(value: number, digits: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (!Number.isInteger(value) && (size < 1e-4 || size >= 1e9)) return value.toExponential(digits - 1);
  const isLarge = size >= 10 ** digits;
  return value.toLocaleString('en-US', {
    ...(Number.isInteger(value) || isLarge
      ? { maximumFractionDigits: 0 }
      : { maximumSignificantDigits: digits }),
  });
}

export function tableHtml(table: CellTable): string {
  const { caption, titles, isNumeric, rows, numLeftOut } = table;
  const align = (column: number) => ` style="text-align:${isNumeric[column] ? 'right' : 'left'}"`;
  const line = (tag: 'th' | 'td', cells: readonly string[]) =>
    `<tr>${cells.map((cell, i) => `<${tag}${align(i)}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return [
    '<div style="overflow-x:auto"><table>',
    caption === '' ? '' : `<caption style="text-align:left">${escapeHtml(caption)}</caption>`,
    `<thead>${line('th', titles)}</thead>`,
    `<tbody>${rows.map((cells) => line('td', cells)).join('')}</tbody>`,
    '</table>',
    numLeftOut > 0 ? `<p><em>${escapeHtml(leftOutNote(table))}</em></p>` : '',
    '</div>',
  ].join('');
}

export function tableText(table: CellTable): string {
  const { caption, titles, isNumeric, rows, numLeftOut } = table;
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((cells) => cells[i].length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (isNumeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    ...(caption === '' ? [] : [caption]),
    line(titles),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...rows.map(line),
    ...(numLeftOut > 0 ? [leftOutNote(table)] : []),
  ].join('\n');
}

function leftOutNote({ rows, numLeftOut }: CellTable): string {
  return `first ${rows.length} of ${formatNumber(rows.length + numLeftOut, 4)} rows; mostRows shows more`;
}
