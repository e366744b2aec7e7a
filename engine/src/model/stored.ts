/** The bytes of a tensor: where they lie in files, and how they become fp32. */

import { open } from 'node:fs/promises';
import {
  type Codec,
  codecs,
  decodeMatrix,
  decodeWeights,
  type MatrixLayout,
  scaleBytes,
  scaleGridSize,
  scalePartBytes,
  spanBytes,
  storedBytes,
} from '@specoffload/native';
import type { StoredScales, TensorLayout, TensorRef } from './types.js';

export interface FileRange {
  readonly path: string;
  readonly fileOffset: number;
  readonly byteLength: number;
}

/**
 * The ranges that have to be read for a tensor: its values', with what others have between them, and those of its scales,
 * their zero points and the groups of columns.
 */
export function rangesOf(ref: TensorRef): readonly FileRange[] {
  const { path, fileOffset, byteLength, dtype, layout } = ref;
  if (!layout) return [{ path, fileOffset, byteLength }];
  const values = { path, fileOffset, byteLength: spanBytes(dtype, layout) };
  const { scales } = layout;
  if (!scales) return [values];
  const places = [scales, scales.zeros, scales.groupOfColumn].filter((place) => place !== undefined);
  const lengths = scalePartBytes(layout, scales);
  const parts = places.map(({ path, fileOffset }, i) => ({ path, fileOffset, byteLength: lengths[i] }));
  return [values, ...parts];
}

/** A run of a tensor's values. */
export interface TensorPart {
  /** Values before it. */
  readonly first: number;
  readonly part: TensorRef;
}

/**
 * A tensor in parts of at most so many stored bytes, where it can be cut: between blocks, or between rows where they
 * have an order or scales of their own. One whole block (or such rows) is the least, a transposed tensor stays whole.
 */
export function cutTensor(ref: TensorRef, mostBytes: number): readonly TensorPart[] {
  const { dtype, layout, numElements } = ref;
  const codec: Codec = codecs[dtype];
  if (layout && layout.across > 0) return [{ first: 0, part: ref }];
  const unit = layout ? layout.columns * rowsTogether(layout) : codec.blockElements;
  const unitBytes = layout ? lengthOf(rangesOf(rowsOf(ref, 0, rowsTogether(layout)))) : codec.bytes(unit);
  const step = Math.max(1, Math.floor(mostBytes / unitBytes)) * unit;
  return Array.from({ length: Math.ceil(numElements / step) }, (_, index) => {
    const first = index * step;
    const count = Math.min(step, numElements - first);
    if (layout) return { first, part: rowsOf(ref, first / layout.columns, count / layout.columns) };
    const fileOffset = ref.fileOffset + codec.bytes(first);
    return {
      first,
      part: { ...ref, shape: [count], fileOffset, byteLength: codec.bytes(count), numElements: count },
    };
  });
}

export function lengthOf(ranges: readonly FileRange[]): number {
  return ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Rows that cannot be cut apart: their scales, their zero points or their places belong together. */
function rowsTogether({ rows, paired, scales }: TensorLayout): number {
  const shared = scales && Number.isFinite(scales.rows) ? scales.rows : 1;
  const points = scales?.zeros ? codecs[scales.zeros.codec].blockElements * shared : 1;
  return Math.min(rows, Math.max(paired, shared, points));
}

/** Some rows of a tensor that has a layout, from a multiple of {@link rowsTogether} on. */
function rowsOf(ref: TensorRef, first: number, rows: number): TensorRef {
  const layout = ref.layout as TensorLayout;
  const { columns, step, scales } = layout;
  const scalesBefore = scales
    ? Math.floor((first * step) / scales.rows) * scaleGridSize(layout, scales)[1]
    : 0;
  const part = { ...layout, rows, scales: scales && scalesAfter(scales, scalesBefore) };
  const numElements = rows * columns;
  return {
    ...ref,
    shape: [rows, columns],
    numElements,
    layout: part,
    fileOffset: ref.fileOffset + first * step * codecs[ref.dtype].bytes(columns),
    byteLength: storedBytes(ref.dtype, numElements, part),
  };
}

/** Without the first so many of a grid that is not stored transposed. */
export function scalesAfter({ zeros, ...scales }: StoredScales, count: number): StoredScales {
  const move = <Place extends { readonly fileOffset: number }>(place: Place, bytes: number): Place => ({
    ...place,
    fileOffset: place.fileOffset + bytes,
  });
  return {
    ...move(scales, scaleBytes(scales.dtype, count)),
    ...(zeros && { zeros: move(zeros, codecs[zeros.codec].bytes(count)) }),
  };
}

/** The layout for whoever has all ranges in memory, each of the scales' parts so many bytes behind the values. */
export function layoutInMemory(
  { scales, ...layout }: TensorLayout,
  offsets: readonly number[],
): MatrixLayout {
  if (!scales) return { ...layout, scales };
  const { zeros, groupOfColumn, dtype, rows, columns, groupStride } = scales;
  const grid = { dtype, rows, columns, groupStride, offset: offsets[0] };
  return {
    ...layout,
    scales: {
      ...grid,
      ...(zeros && { zeros: { ...zeros, offset: offsets[1] } }),
      ...(groupOfColumn && { groupOfColumn: { offset: offsets[offsets.length - 1] } }),
    },
  };
}

/** All elements of one tensor as fp32. @throws Error when the file has become shorter since it was opened. */
export async function readTensor(ref: TensorRef): Promise<Float32Array> {
  const { dtype, layout } = ref;
  const ranges = rangesOf(ref);
  const bytes = Buffer.alloc(lengthOf(ranges));
  const starts: number[] = [];
  let at = 0;
  for (const range of ranges) {
    starts.push(at);
    await readRange(range, bytes.subarray(at, at + range.byteLength), ref.name);
    at += range.byteLength;
  }
  if (!layout) return decodeWeights(bytes, dtype);
  const bits = new Uint32Array(ref.numElements);
  decodeMatrix(bytes, 0, dtype, layoutInMemory(layout, starts.slice(1)), bits);
  return new Float32Array(bits.buffer);
}

async function readRange({ path, fileOffset }: FileRange, target: Buffer, name: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    // One read returns at most 2 GiB.
    for (let done = 0; done < target.length; ) {
      const length = Math.min(target.length - done, 2 ** 30);
      const { bytesRead } = await file.read(target, done, length, fileOffset + done);
      if (bytesRead === 0) throw new Error(`${path} ended inside ${name}`);
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}
