/** Values of rows and records, as people read them in a table. */

import { printable } from '@specoffload/input';
import type { RowColumn, RowValue } from '../store/index.js';
import { formatBytes, formatCount, formatPercent, formatSeconds, threeDigits } from '../terminal/format.js';

/** @param unit of the column; counts, names and flags have none */
export function formatCell(value: RowValue, unit: RowColumn['unit'] = ''): string {
  if (value === null) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return formatNumber(value, unit);
  if (typeof value !== 'string') return value.map((item) => formatNumber(item, '')).join('/');
  return unit === 'ISO 8601' ? value.slice(0, 16).replace('T', ' ') : printable(value);
}

function formatNumber(value: number, unit: RowColumn['unit']): string {
  if (unit === 'B') return formatBytes(value);
  if (unit === 's') return formatSeconds(value);
  if (unit === '0 to 1') return formatPercent(value);
  if (unit === 'tokens/s') return threeDigits(value);
  return Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(4)));
}
