/** A cell's last value in the forms that a front end can show. */

import { types } from 'node:util';
import { type FrameLike, tableHtml, tableText, toCellTable } from '../display/table.js';
import { cut, inspectSafely } from './failure.js';

export type ResultBundle = { readonly 'text/plain': string } & Readonly<Record<string, string>>;

/** Never throws: a value that cannot be read is said to be one. */
export function showResult(value: unknown): ResultBundle {
  if (typeof value === 'string') return { 'text/plain': cut(value) };
  return maybeTable(value) ?? { 'text/plain': inspectSafely(value) };
}

/** Frames of danfo, whose own form is thousands of characters of internals. */
function maybeTable(value: unknown): ResultBundle | null {
  try {
    if (!isFrame(value)) return null;
    const table = toCellTable(value);
    return { 'text/plain': tableText(table), 'text/html': tableHtml(table) };
  } catch {
    return null;
  }
}

function isFrame(value: unknown): value is FrameLike {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return false;
  const { columns, values, dtypes } = value as Record<string, unknown>;
  const isDanfo = /^(DataFrame|Series)$/.test(value.constructor?.name ?? '');
  return isDanfo && [columns, values, dtypes].every(Array.isArray);
}
