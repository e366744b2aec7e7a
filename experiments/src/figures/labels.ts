/** What columns are called in figures, and how their numbers are written on axes. */

import { columns } from '../store/index.js';
import { formatBytes, formatRate } from '../terminal/format.js';

/** Names that deserve better words than their own; the rest is read off: `decodeBatch` is `decode batch`. */
const words: Readonly<Record<string, string>> = {
  tokensPerSecond: 'throughput',
  decodeTokensPerSecond: 'decode throughput',
  acceptanceRate: 'acceptance rate',
  candidates: 'candidates per round',
  decodeBatch: 'decode batch',
  prefillBatch: 'prefill batch',
  draftBatch: 'draft batch',
  maxNewTokens: 'new tokens per sequence',
  generationLength: 'new tokens per sequence',
  gpuMemoryGB: 'GPU memory, GB',
  promptTokens: 'prompt tokens per sequence',
};

const units: Readonly<Record<string, string>> = {
  ...Object.fromEntries(columns.map(({ name, unit }) => [name, unit])),
  decodeTokensPerSecond: 'tokens/s',
};

/** Share, bytes or plain: how numbers of a column are written. */
export type NumberStyle = 'share' | 'bytes' | 'plain';

export function numberStyleOf(column: string): NumberStyle {
  const unit = units[column] ?? '';
  if (unit === '0 to 1' || /(Share|Utilization|Rate|Fraction)$/.test(column)) return 'share';
  return unit === 'B' || /(Bytes|Memory)$/.test(column) ? 'bytes' : 'plain';
}

const isRate = (column: string) => /(Cap|bytesPerSecond)$/i.test(column);

/** A value of a column as people write it: `1.2 GB`, `150 MB/s`, `0.8`. */
export function formatValue(column: string, value: unknown): string {
  if (Array.isArray(value)) return value.join('/');
  if (typeof value !== 'number') return String(value ?? 'none');
  if (isRate(column)) return trimZeros(formatRate(value));
  if (numberStyleOf(column) === 'bytes') return trimZeros(formatBytes(value));
  return value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
}

/** `1.20 GB` as `1.2 GB`. */
const trimZeros = (text: string) => text.replace(/(\.\d*?)0+(?= )/, '$1').replace('. ', ' ');

/** `throughput`. */
export function nameOfColumn(column: string): string {
  return words[column] ?? humanize(column);
}

/** `throughput, tokens/s`. */
export function titleOfColumn(column: string): string {
  const name = nameOfColumn(column);
  const unit = units[column] ?? '';
  const isSpelledOut = ['', 'B', '0 to 1', 'tokens', 'ISO 8601'].includes(unit);
  return isSpelledOut ? name : `${name}, ${unit}`;
}

/** `machine.link.bytesPerSecond` to `machine link bytes per second`. */
function humanize(name: string): string {
  return name
    .replace(/[._]/g, ' ')
    .replace(
      /([a-z0-9])([A-Z])/g,
      (_, before: string, letter: string) => `${before} ${letter.toLowerCase()}`,
    );
}

/** An axis for numbers of a column. */
export function numberAxis(column: string): Readonly<Record<string, unknown>> {
  const style = numberStyleOf(column);
  return {
    title: { text: titleOfColumn(column) },
    ...(style === 'share' ? { tickformat: '.0%' } : {}),
    ...(style === 'bytes' ? { tickformat: '~s', ticksuffix: 'B' } : {}),
  };
}

/** d3's format for one number of a column, for hover texts. */
export function hoverFormatOf(column: string): string {
  return { share: '.1%', bytes: '.3s', plain: '.4~r' }[numberStyleOf(column)];
}
