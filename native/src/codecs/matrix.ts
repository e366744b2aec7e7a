/** Matrices whose values do not simply lie one row behind the other: stepped, paired, transposed, scaled apart. */

import type { WeightsOfProduct } from '../types.js';
import { bitsOfBf16 } from './bf16.js';
import { type Codec, halvesOf, type PlacedScales, type ScaleDtype, type ZeroPoints } from './codec.js';
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
  /** Stored transposed, with so many values (of blocks along columns: blocks) from one column to the next; 0 where it is not. */
  readonly across: number;
  /** In parts of their own, so many bytes after the values' address (negative: before). */
  readonly scales: PlacedScales<{ readonly offset: number }> | null;
}

/** Scales wherever they are. */
type Scales = PlacedScales<object>;

/** The row that lies in place of row `row`. */
export function storedRow({ step, paired }: Pick<MatrixLayout, 'step' | 'paired'>, row: number): number {
  const within = row % paired;
  const [pair, which] = [within % (paired / 2), within < paired / 2 ? 0 : 1];
  return step * (paired === 1 ? row : row - within + 2 * pair + which);
}

/** Columns, and rows, of a block of a matrix that is stored transposed. */
function blockOf(dtype: WeightDtype): { readonly along: number; readonly acrossRows: number } {
  const { blockElements, isAcross }: Codec = codecs[dtype];
  return isAcross ? { along: 1, acrossRows: blockElements } : { along: blockElements, acrossRows: 1 };
}

/** Bytes from the first to behind the last value. */
export function spanBytes(dtype: WeightDtype, layout: Omit<MatrixLayout, 'scales'>): number {
  const { bytes }: Codec = codecs[dtype];
  const { rows, columns, step, across } = layout;
  if (rows === 0 || columns === 0) return 0;
  if (across === 0) return ((rows - 1) * step + 1) * bytes(columns);
  const { along } = blockOf(dtype);
  return bytes(along * ((columns / along - 1) * across + (rows - 1) * step + 1));
}

/** Scales in a row of the grid, and rows of them from the first to behind the last. */
export function scaleGridSize(
  { rows, columns, step }: Pick<MatrixLayout, 'rows' | 'columns' | 'step'>,
  grid: Scales,
): readonly [rows: number, columns: number] {
  return [groups((rows - 1) * step + 1, grid.rows), groups(columns, grid.columns)];
}

/** How many groups of so many there are; one of infinitely many. */
function groups(count: number, size: number): number {
  return size === Number.POSITIVE_INFINITY ? 1 : Math.ceil(count / size);
}

/** Bytes of each part that scales have, from the first to behind the last: scales, zero points, groups of columns. */
export function scalePartBytes(
  layout: Pick<MatrixLayout, 'rows' | 'columns' | 'step'>,
  { zeros, groupOfColumn, ...grid }: Scales,
): readonly number[] {
  const [rows, columns] = scaleGridSize(layout, grid);
  const span = (stride: number) => (stride > 0 ? (columns - 1) * stride + rows : rows * columns);
  return [
    scaleBytes(grid.dtype, span(grid.groupStride ?? 0)),
    ...(zeros ? [codecs[zeros.codec].bytes(span(zeros.groupStride))] : []),
    ...(groupOfColumn ? [4 * layout.columns] : []),
  ];
}

/** What lies apart from the values, and where it starts behind them. */
export function partsOf(
  layout: MatrixLayout,
): readonly { readonly offset: number; readonly bytes: number }[] {
  const { rows, columns, scales } = layout;
  if (scales === null || rows * columns === 0) return [];
  const { zeros, groupOfColumn } = scales;
  const parts = [scales, ...[zeros, groupOfColumn].filter((part) => part !== undefined)];
  return scalePartBytes(layout, scales).map((bytes, index) => ({ offset: parts[index].offset, bytes }));
}

/** Bytes from the first value to behind the last of whatever follows. */
export function reachBytes(dtype: WeightDtype, layout: MatrixLayout): number {
  const span = spanBytes(dtype, layout);
  if (layout.scales === null) return span;
  return partsOf(layout).reduce((most, { offset, bytes }) => Math.max(most, offset + bytes), span);
}

/** How the weights of a product lie; null where their rows do in order, or apart, without scales of their own. */
export function layoutOf(
  {
    paired,
    step,
    across = 0,
    scales = null,
  }: Pick<WeightsOfProduct, 'paired' | 'step' | 'across' | 'scales'>,
  columns: number,
  rows: number,
): MatrixLayout | null {
  return across > 0 || scales ? { rows, columns, paired, step, across, scales } : null;
}

/** Bytes of so many values that are their own: without what lies between their rows, scales included. */
export function storedBytes(
  dtype: WeightDtype,
  count: number,
  layout?: Pick<MatrixLayout, 'rows' | 'columns'> & { readonly scales: Scales | null },
): number {
  const values = codecs[dtype].bytes(count);
  if (!layout?.scales) return values;
  const { zeros, ...scales } = layout.scales;
  const own = { ...scales, groupStride: 0, ...(zeros && { zeros: { ...zeros, groupStride: 0 } }) };
  return scalePartBytes({ ...layout, step: 1 }, own).reduce((sum, bytes) => sum + bytes, values);
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
  if (across > 0) decodeTransposed(stored.subarray(values), dtype, layout, bits);
  for (let row = 0; row < rows; row += 1) {
    const from = storedRow(layout, row);
    const target = bits.subarray(row * columns, (row + 1) * columns);
    if (across === 0)
      codec.decode(stored.subarray(values + from * rowBytes, values + (from + 1) * rowBytes), target);
    if (scales) scaleRow(stored, values, from, scales, target);
  }
}

/** Block by block, of neighbouring columns or of neighbouring rows. */
function decodeTransposed(
  stored: Uint8Array,
  dtype: WeightDtype,
  layout: MatrixLayout,
  bits: Uint32Array,
): void {
  const { rows, columns, across } = layout;
  const codec: Codec = codecs[dtype];
  const { along, acrossRows } = blockOf(dtype);
  const block = new Uint32Array(codec.blockElements);
  const blockBytes = codec.bytes(block.length);
  for (let row = 0; row < rows; row += acrossRows) {
    const from = storedRow(layout, row);
    for (let column = 0; column < columns; column += along) {
      const at = codec.bytes(along * ((column / along) * across + from));
      codec.decode(stored.subarray(at, at + blockBytes), block);
      for (let i = 0; i < block.length; i += 1)
        bits[(row + (along > 1 ? 0 : i)) * columns + column + (along > 1 ? i : 0)] = block[i];
    }
  }
}

/** Less their zero points, which is exact, times their scales. */
function scaleRow(
  stored: Uint8Array,
  values: number,
  row: number,
  scales: NonNullable<MatrixLayout['scales']>,
  target: Uint32Array,
): void {
  const { dtype, rows, columns, groupStride = 0, offset, zeros, groupOfColumn } = scales;
  const floats = new Float32Array(target.buffer, target.byteOffset, target.length);
  const numGroups = groups(floats.length, columns);
  const gridRow = Math.floor(row / rows);
  const scaleOf = new Float32Array(numGroups);
  const zeroOf = new Float32Array(numGroups);
  const scalesStored = stored.subarray(values + offset);
  for (let group = 0; group < numGroups; group += 1) {
    scaleOf[group] = scaleAt(
      scalesStored,
      dtype,
      groupStride > 0 ? group * groupStride + gridRow : gridRow * numGroups + group,
    );
    if (zeros) zeroOf[group] = zeroAt(stored, values + zeros.offset, zeros, gridRow, group, numGroups);
  }
  for (let column = 0; column < floats.length; column += 1) {
    const group = groupOfColumn
      ? wordAt(stored, values + groupOfColumn.offset + 4 * column)
      : Math.floor(column / columns);
    if (group >= numGroups)
      throw new RangeError(`invalid group of column ${column}: ${group}; expected one of ${numGroups}`);
    floats[column] = (floats[column] - zeroOf[group]) * scaleOf[group];
  }
}

const point = new Uint8Array(4);
const points = new Uint32Array(8);

function zeroAt(
  stored: Uint8Array,
  from: number,
  { codec: name, groupStride, isLessOne }: ZeroPoints,
  row: number,
  group: number,
  numGroups: number,
): number {
  const codec: Codec = codecs[name];
  const { blockElements } = codec;
  const which = row % blockElements;
  const index =
    groupStride > 0 ? group * groupStride + row - which : (row - which) * numGroups + group * blockElements;
  const at = from + codec.bytes(index);
  if (isLessOne) setWord(point, wordAt(stored, at) + onesOf(blockElements));
  const bytes = isLessOne ? point : stored.subarray(at, at + codec.bytes(blockElements));
  const block = points.subarray(0, blockElements);
  codec.decode(bytes, block);
  return new Float32Array(points.buffer)[which];
}

/** A word of so many ones. */
function onesOf(count: number): number {
  return count === 8 ? 0x11111111 : 0x01010101;
}

function wordAt(stored: Uint8Array, at: number): number {
  return (stored[at] | (stored[at + 1] << 8) | (stored[at + 2] << 16) | (stored[at + 3] << 24)) >>> 0;
}

function setWord(target: Uint8Array, word: number): void {
  for (let i = 0; i < 4; i += 1) target[i] = word >>> (8 * i);
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
