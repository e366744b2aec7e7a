/** Matrices whose values do not simply lie one row behind the other: stepped, paired, transposed, scaled apart. */

import { bitsOfBf16 } from './bf16.js';
import { type Codec, halvesOf, type ScaleDtype, type ScaleGrid } from './codec.js';
import { bitsOfF16 } from './f16.js';
import { codecs, type WeightDtype } from './index.js';

/** Where the value of a row and column lies, counted from the first value's address. */
export interface MatrixLayout {
  readonly rows: number;
  readonly columns: number;
  /** Its rows lie so many apart: what is between belongs to others. */
  readonly step: number;
  /**
   * Within so many rows, row i and row i + paired / 2 lie next to each other, as llama.cpp wants the channels that RoPE
   * turns together; 1 where all rows lie in order.
   */
  readonly paired: number;
  /** Stored transposed, with so many values from one column to the next; 0 where it is not. */
  readonly across: number;
  /** In a part of its own, so many bytes after the values' address (negative: before). */
  readonly scales: (ScaleGrid & { readonly offset: number }) | null;
}

/** The row that lies in place of row `row`. */
export function storedRow({ step, paired }: Pick<MatrixLayout, 'step' | 'paired'>, row: number): number {
  const within = row % paired;
  const [pair, which] = [within % (paired / 2), within < paired / 2 ? 0 : 1];
  return step * (paired === 1 ? row : row - within + 2 * pair + which);
}

/** Bytes from the first to behind the last value. */
export function spanBytes(dtype: WeightDtype, layout: Omit<MatrixLayout, 'scales'>): number {
  const { bytes }: Codec = codecs[dtype];
  const { rows, columns, step, across } = layout;
  if (rows === 0 || columns === 0) return 0;
  if (across > 0) return bytes((columns - 1) * across + (rows - 1) * step + 1);
  return (rows - 1) * step * bytes(columns) + bytes(columns);
}

/** Scales in a row of the grid, and rows of them from the first to behind the last. */
export function scaleGridSize(
  { rows, columns, step }: Pick<MatrixLayout, 'rows' | 'columns' | 'step'>,
  grid: ScaleGrid,
): readonly [rows: number, columns: number] {
  return [groups((rows - 1) * step + 1, grid.rows), groups(columns, grid.columns)];
}

/** How many groups of so many there are; one of infinitely many. */
function groups(count: number, size: number): number {
  return size === Number.POSITIVE_INFINITY ? 1 : Math.ceil(count / size);
}

/** Bytes of so many values that are their own: without what lies between their rows, scales included. */
export function storedBytes(
  dtype: WeightDtype,
  count: number,
  layout?: Pick<MatrixLayout, 'rows' | 'columns'> & { readonly scales: ScaleGrid | null },
): number {
  const values = codecs[dtype].bytes(count);
  if (!layout?.scales) return values;
  const [rows, columns] = scaleGridSize({ ...layout, step: 1 }, layout.scales);
  return values + scaleBytes(layout.scales.dtype, rows * columns);
}

export function scaleBytes(dtype: ScaleDtype, count: number): number {
  return count * { f32: 4, bf16: 2, f16: 2, e8m0: 1 }[dtype];
}

/**
 * The twin of the native `decodeMatrix`.
 * @param stored from the first byte of whichever part comes first
 * @param values where in it the values start
 */
export function decodeMatrix(
  stored: Uint8Array,
  values: number,
  dtype: WeightDtype,
  layout: MatrixLayout,
  bits: Uint32Array,
): void {
  const { rows, columns, across, scales } = layout;
  const codec: Codec = codecs[dtype];
  const rowBytes = codec.bytes(columns);
  for (let row = 0; row < rows; row += 1) {
    const from = storedRow(layout, row);
    const target = bits.subarray(row * columns, (row + 1) * columns);
    if (across > 0) decodeColumn(stored.subarray(values + codec.bytes(from)), codec, across, target);
    else codec.decode(stored.subarray(values + from * rowBytes, values + (from + 1) * rowBytes), target);
    if (scales) scaleRow(stored.subarray(values + scales.offset), from, scales, target);
  }
}

function decodeColumn(stored: Uint8Array, codec: Codec, across: number, target: Uint32Array): void {
  const [width, stride] = [codec.bytes(1), codec.bytes(across)];
  for (let column = 0; column < target.length; column += 1) {
    const at = column * stride;
    codec.decode(stored.subarray(at, at + width), target.subarray(column, column + 1));
  }
}

function scaleRow(stored: Uint8Array, row: number, grid: ScaleGrid, target: Uint32Array): void {
  const values = new Float32Array(target.buffer, target.byteOffset, target.length);
  const perRow = groups(values.length, grid.columns);
  const first = Math.floor(row / grid.rows) * perRow;
  for (let column = 0; column < values.length; column += 1)
    values[column] *= scaleAt(stored, grid.dtype, first + Math.floor(column / grid.columns));
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function scaleAt(stored: Uint8Array, dtype: ScaleDtype, index: number): number {
  const width = scaleBytes(dtype, 1);
  const at = index * width;
  if (dtype === 'e8m0') return Math.fround(2 ** (stored[at] - 127));
  if (dtype === 'f32') new Uint8Array(word.buffer).set(stored.subarray(at, at + 4));
  else {
    const [half] = halvesOf(stored.subarray(at, at + 2));
    word[0] = dtype === 'bf16' ? bitsOfBf16(half) : bitsOfF16(half);
  }
  return float[0];
}
