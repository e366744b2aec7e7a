/** A tensor as a file's header names it, whatever the file's format, and what of it a model takes. */

import { quote, UserError } from '@specoffload/input';
import {
  type Codec,
  codecs,
  type MatrixLayout,
  scaleGridSize,
  storedBytes,
  type WeightDtype,
} from '@specoffload/native';
import type { TensorSpec } from './roles.js';
import { scalesAfter } from './stored.js';
import type { TensorLayout, TensorRef } from './types.js';

/** One entry of a header; it may be of a kind that nothing here computes with. */
export interface HeaderTensor {
  readonly name: string;
  readonly path: string;
  /** As the file writes it: `BF16`, `I64`, `Q4_K`, … */
  readonly dtype: string;
  /** null where nothing here decodes it. */
  readonly codec: WeightDtype | null;
  readonly shape: readonly number[];
  /** Absolute byte offset in the file. */
  readonly fileOffset: number;
  readonly byteLength: number;
  /** As in `MatrixLayout`; 0 or missing where it is stored in rows. */
  readonly across?: number;
  /** Where its scales lie apart. */
  readonly scales?: TensorLayout['scales'];
}

export interface WeightFile {
  readonly path: string;
  readonly byteLength: number;
  /** In the order of their bytes. */
  readonly tensors: readonly HeaderTensor[];
}

/** The whole tensor as the engine knows it. @throws UserError when nothing here computes with its dtype. */
export function toTensorRef(stored: HeaderTensor): TensorRef {
  const { name, path, shape, fileOffset } = stored;
  const dtype = codecOf(stored);
  const numElements = shape.reduce((product, size) => product * size, 1);
  const { across = 0, scales } = stored;
  const layout = scales ? { ...matrixOf(shape), across, scales } : undefined;
  const byteLength = storedBytes(dtype, numElements, layout);
  return { name, path, dtype, shape, fileOffset, byteLength, numElements, ...(layout && { layout }) };
}

/** What a model asks for by its spec. @throws UserError when it is stored in another shape. */
export function takeTensor(stored: HeaderTensor, spec: TensorSpec, origin: string): TensorRef {
  const expected = storedShape(stored, spec);
  if (!areEqual(stored.shape, expected))
    throw new UserError(
      `${stored.path}: invalid shape of ${stored.name}: ${quote(stored.shape)}; expected ${quote(expected)} from ${origin}; use the ${origin} that belongs to these weights`,
    );
  return spec.within ? cutTensor(stored, spec, spec.within) : toTensorRef(stored);
}

/** A single row may be a vector: GGUF has it so. */
function areEqual(one: readonly number[], other: readonly number[]): boolean {
  if (one[0] === 1 && one.length === other.length + 1) return areEqual(one.slice(1), other);
  if (other[0] === 1 && other.length === one.length + 1) return areEqual(one, other.slice(1));
  return one.length === other.length && one.every((size, i) => size === other[i]);
}

/** Of the stored tensor that holds the one that the spec promises. */
function storedShape(
  { shape, codec }: HeaderTensor,
  { shape: promised, within }: TensorSpec,
): readonly number[] {
  if (!within) return promised;
  const { slice, numExperts } = within;
  const [rows, ...columns] = promised;
  const least = slice.rows ? slice.rows.first + (slice.rows.count - 1) * slice.rows.step + 1 : rows;
  const isAcross = isStoredAcross(slice.isTransposed, promised, codec);
  // Of the rows that others take, there may be more than those before the last of ours.
  const given = shape[isAcross ? shape.length - 1 : slice.isStackOfExperts ? 1 : 0];
  const isWithin = slice.rows && given >= least && given < least + slice.rows.step;
  const allRows = slice.rows?.total ?? (isWithin ? given : least);
  const matrix = isAcross ? [...columns, allRows] : [allRows, ...columns];
  return slice.isStackOfExperts ? [numExperts, ...matrix] : matrix;
}

function isStoredAcross(isTransposed: boolean, shape: readonly number[], codec: WeightDtype | null): boolean {
  const { blockElements }: Codec = codecs[codec ?? 'f32'];
  return isTransposed && shape.length > 1 && blockElements === 1;
}

function cutTensor(
  stored: HeaderTensor,
  { name, shape }: TensorSpec,
  { slice, expert, headDim }: NonNullable<TensorSpec['within']>,
): TensorRef {
  const dtype = codecOf(stored);
  if (stored.across || stored.scales?.zeros)
    throw new UserError(
      `${stored.path}: unsupported way of storing ${quote(stored.name)}: quantised with zero points or transposed, and several in one; expected every matrix on its own; use another checkpoint`,
    );
  const { bytes }: Codec = codecs[dtype];
  const numElements = shape.reduce((product, size) => product * size, 1);
  const isAcross = isStoredAcross(slice.isTransposed, shape, stored.codec);
  const storedMatrix = slice.isStackOfExperts ? stored.shape.slice(1) : stored.shape;
  const [rows, columns = 1] = shape;
  const { first, step } = slice.rows ?? { first: 0, step: 1 };
  const order = {
    rows,
    columns,
    step,
    paired: slice.isPaired ? headDim : 1,
    across: isAcross ? storedMatrix[1] : 0,
  };
  const before = slice.isStackOfExperts
    ? expert * storedMatrix.reduce((product, size) => product * size, 1)
    : 0;
  const scales = stored.scales ? scalesFrom(stored.scales, storedMatrix, order, expert, first) : null;
  const isPlain = step === 1 && order.paired === 1 && !isAcross && !scales;
  return {
    name,
    path: stored.path,
    dtype,
    shape,
    numElements,
    fileOffset: stored.fileOffset + bytes(before + first * (isAcross ? 1 : columns)),
    byteLength: storedBytes(dtype, numElements, { ...order, scales }),
    ...(!isPlain && { layout: { ...order, scales } }),
  };
}

/** The scales from row `first` of an expert on. */
function scalesFrom(
  scales: NonNullable<HeaderTensor['scales']>,
  [allRows, columns]: readonly number[],
  { step }: Pick<MatrixLayout, 'step'>,
  expert: number,
  first: number,
): TensorLayout['scales'] {
  const [gridRows, gridColumns] = scaleGridSize({ rows: allRows, columns, step: 1 }, scales);
  if (scales.rows > 1 && step * first > 0)
    throw new UserError('rows that share their scales with other tensors cannot be taken apart');
  const before = (Math.max(0, expert) * gridRows + first) * gridColumns;
  return scalesAfter(scales, before);
}

/** A whole tensor as a matrix: all but the last of its sizes are rows. */
function matrixOf(shape: readonly number[]): Omit<MatrixLayout, 'scales'> {
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  return { rows, columns, step: 1, paired: 1, across: 0 };
}

function codecOf({ path, name, dtype, codec }: HeaderTensor): WeightDtype {
  if (codec !== null) return codec;
  throw new UserError(
    `${path}: unsupported dtype of ${name}: ${dtype}; expected BF16, F16 or F32; use a checkpoint that is not quantised`,
  );
}
