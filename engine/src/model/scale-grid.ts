/** How many rows and columns of a quantised matrix share a scale, found out by shapes and by what is configured. */

import type { ScaleGrid } from '@specoffload/native';

export type Grid = Pick<ScaleGrid, 'rows' | 'columns' | 'groupStride'>;

/**
 * Null where the shapes do not fit.
 * @param groupSizes of columns, any of these; none where the shapes have to say it
 */
export function gridOf(
  shape: readonly number[],
  scales: readonly number[],
  groupSizes: readonly number[],
): Grid | null {
  const [rows, columns] = shape.slice(-2);
  const count = scales.reduce((product, size) => product * size, 1);
  if (shape.length === 2 && count === 1)
    return { rows: Number.POSITIVE_INFINITY, columns: Number.POSITIVE_INFINITY };
  // One per row may lack the dimension of columns.
  const isPerRow = scales.length === shape.length - 1 && scales[scales.length - 1] === rows;
  const full = isPerRow ? [...scales, 1] : scales;
  const leading = shape.slice(0, -2);
  if (full.length !== shape.length || leading.some((size, i) => size !== full[i])) return null;
  const sharedRows = side(rows, full[full.length - 2]);
  const sharedColumns = columnsOf(columns, full[full.length - 1], groupSizes);
  return sharedRows === null || sharedColumns === null ? null : { rows: sharedRows, columns: sharedColumns };
}

/** The same of scales that are stored as (groups, out). */
export function transposedGridOf(
  [rows, columns]: readonly number[],
  scales: readonly number[],
  groupSizes: readonly number[],
): Grid | null {
  if (scales.length !== 2 || scales[1] !== rows) return null;
  const sharedColumns = columnsOf(columns, scales[0], groupSizes);
  return sharedColumns === null ? null : { rows: 1, columns: sharedColumns, groupStride: rows };
}

function columnsOf(columns: number, numScales: number, groupSizes: readonly number[]): number | null {
  if (groupSizes.length === 0) return side(columns, numScales);
  return groupSizes.find((size) => (size >= columns ? 1 : Math.ceil(columns / size)) === numScales) ?? null;
}

/** How many neighbours share one of so many scales: all, each its own, or a power of two. */
function side(size: number, numScales: number): number | null {
  if (numScales === 1) return Number.POSITIVE_INFINITY;
  if (numScales === size) return 1;
  for (let shared = 2; shared < size; shared *= 2) if (Math.ceil(size / shared) === numScales) return shared;
  return null;
}
