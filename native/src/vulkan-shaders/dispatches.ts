/**
 * Which kernel serves an operation, in what shape: workgroups and tiles that fit the device's limits and fill it.
 * Nothing here orders one dispatch behind another.
 */

import { type Codec, codecs, plainCodecs, type ScaleGrid } from '../codecs/index.js';
import { activations, createDispatch, type Dispatch, scaleFormats, weightFormats } from './kernels.js';

/** What of a device's limits kernels have to keep to. The least that Vulkan grants are {@link leastLimits}. */
export interface KernelLimits {
  readonly sharedMemoryBytes: number;
  readonly workgroupInvocations: number;
  /** Along the first axis. */
  readonly workgroups: number;
  readonly leastSubgroupSize: number;
}

export const leastLimits: KernelLimits = {
  sharedMemoryBytes: 16_384,
  workgroupInvocations: 128,
  workgroups: 65_535,
  leastSubgroupSize: 1,
};

export type StoredFormat = keyof typeof weightFormats;

/** A matrix (out, in) in device memory, as stored. */
export interface StoredMatrix<A> {
  readonly address: A;
  readonly format: StoredFormat;
  /** From one row to the next. */
  readonly rowBytes: number;
  /** As in `MatrixLayout`. @default 1 */
  readonly paired?: number;
  /** Of words of neighbours: stored transposed, as in `MatrixLayout`. @default 0: not */
  readonly across?: number | undefined;
  /** Where they lie apart. */
  readonly scales?: StoredScales<A> | undefined;
}

/** One for so many rows and columns of a matrix, as it is stored. */
export interface StoredScales<A> extends Pick<ScaleGrid, 'dtype' | 'rows' | 'columns'> {
  readonly address: A;
  /** From one row of them to the next. */
  readonly across: number;
  /** From one group of columns to the next. @default 1 */
  readonly groupStride?: number | undefined;
  readonly zeros?: StoredZeros<A> | undefined;
  /** Which group each column belongs to, 32 bits each. @default groups are of neighbours */
  readonly groupOfColumn?: A | undefined;
}

/** Zero points, stored as weights are, of neighbouring rows in a word. */
export interface StoredZeros<A> {
  readonly address: A;
  /** In words, as of scales. */
  readonly across: number;
  readonly groupStride: number;
  readonly isLessOne: boolean;
}

/** A bias or the weight of a norm. */
export interface StoredVector<A> {
  readonly address: A;
  readonly format: StoredFormat;
}

/** y = x · weightsᵀ (+ bias) (+ addend). */
export interface Matmul<A> {
  readonly weights: StoredMatrix<A>;
  readonly x: A; // (row, in)
  readonly y: A; // (row, out)
  readonly rows: number;
  readonly depth: number; // in
  readonly width: number; // out
  readonly bias?: StoredVector<A> | undefined;
  readonly addend?: A | undefined; // (row, out)
  /** The weights' first byte and x lie at multiples of 16. */
  readonly isAligned: boolean;
  /** Weights and x are rounded to bf16 before they are multiplied. @default false */
  readonly roundsInputs?: boolean;
}

/** Rows up to which reading the weights is what takes the time. */
export const fewRows = 16;

export function matmul<A>(operation: Matmul<A>, limits: KernelLimits): Dispatch<A> {
  const { rows, depth, width } = operation;
  const { shared, formats } = argumentsOf(operation);
  const { addresses, words } = shared;
  const roundsInputs = Number(operation.roundsInputs ?? false);
  if (rows <= fewRows) {
    const shape = fewShape(rows, depth, width, limits);
    const groups = spread(rows === 0 ? 0 : Math.ceil(width / shape.numOutputs), limits);
    const constants = { ...formats, ...shape, roundsInputs };
    return createDispatch('matmul-few', { constants, addresses, words, groups });
  }
  const shape = tileShape(rows, width, limits);
  const tiles = Math.ceil(rows / shape.tileRows) * Math.ceil(width / shape.tileOutputs);
  const constants = { ...formats, ...shape, roundsInputs };
  return createDispatch('matmul-tile', { constants, addresses, words, groups: spread(tiles, limits) });
}

/** Where words of a matrix lie: those of neighbouring columns, or of AutoAWQ's eight rows. */
function wordsOf({ format, rowBytes, across = 0 }: StoredMatrix<unknown>) {
  const { blockElements, isAcross, bytes }: Codec = codecs[format];
  const wordBytes = bytes(blockElements);
  if (across === 0) return { weightRowBytes: rowBytes, blockBytes: wordBytes };
  return { weightRowBytes: wordBytes, blockBytes: bytes(isAcross ? across : across * blockElements) };
}

/** A word that makes zero points of those that are stored less one. */
function onesOf(format: StoredFormat): number {
  return format === 'int8_packed' ? 0x01010101 : 0x11111111;
}

/** What all kernels of matrix products are handed. Field by field: a pass of a small model makes thousands. */
export function argumentsOf<A>(operation: Matmul<A>) {
  const { weights, x, y, rows, depth, width, bias, addend } = operation;
  const { scales } = weights;
  const zeros = scales?.zeros;
  const { weightRowBytes, blockBytes } = wordsOf(weights);
  const shared = {
    addresses: {
      weights: weights.address,
      x,
      y,
      bias: bias?.address ?? null,
      addend: addend ?? null,
      scales: scales?.address ?? null,
      zeros: zeros?.address ?? null,
      groups: scales?.groupOfColumn ?? null,
    },
    words: {
      weightRowBytes,
      blockBytes,
      pairedRows: weights.paired ?? 1,
      depth,
      width,
      rows,
      scaleRows: Math.min(scales?.rows ?? 1, 0xffffffff),
      scaleColumns: Math.min(scales?.columns ?? 1, 0xffffffff),
      scalesAcross: scales?.across ?? 0,
      scaleStride: scales?.groupStride ?? 1,
      zerosAcross: zeros?.across ?? 0,
      zeroStride: zeros?.groupStride ?? 0,
      zeroOnes: zeros?.isLessOne ? onesOf(weights.format) : 0,
    },
  };
  const formats = {
    weightFormat: weightFormats[weights.format],
    vectorFormat: weightFormats[bias?.format ?? weights.format],
    scaleFormat: scales ? scaleFormats[scales.dtype] : 0,
    byEights: Number(isByEights(operation)),
  };
  return { shared, formats };
}

/** Whether rows are read in eights: values of plain formats must lie where those can be, and scales be theirs together. */
function isByEights<A>({ weights, depth, isAligned }: Matmul<A>): boolean {
  const { format, rowBytes, scales } = weights;
  const canBeRead = !(format in plainCodecs) || rowBytes % 16 === 0;
  const shareScales =
    !scales ||
    scales.groupOfColumn !== undefined ||
    scales.columns === Number.POSITIVE_INFINITY ||
    scales.columns % 8 === 0;
  return isAligned && depth % 8 === 0 && canBeRead && shareScales;
}

/** Threads follow from the depth alone, so that a row's sum is the same to the bit whatever other rows there are. */
function fewShape(rows: number, depth: number, width: number, limits: KernelLimits) {
  const threads = threadsFor(depth / 16, limits);
  const numRows = powerOfTwoFrom(rows);
  const mostSubgroups = Math.ceil(threads / limits.leastSubgroupSize);
  // Each output more reuses x once more, but a device wants some hundred workgroups.
  let numOutputs = width >= 2048 ? 4 : width >= 512 ? 2 : 1;
  while (4 * mostSubgroups * numRows * numOutputs > limits.sharedMemoryBytes) numOutputs /= 2;
  return { threads, numRows, numOutputs, mostSubgroups };
}

/** Shared memory of a tile: 16 of the depth, a row more of each. */
const tileBytes = (tileRows: number, tileOutputs: number) => 4 * 16 * (tileRows + tileOutputs + 2);

function tileShape(rows: number, width: number, limits: KernelLimits) {
  const large = { threads: 256, tileRows: 128, tileOutputs: 128, threadRows: 8, threadOutputs: 8 };
  const fits =
    limits.workgroupInvocations >= large.threads && limits.sharedMemoryBytes >= tileBytes(128, 128);
  if (fits && Math.ceil(rows / 128) * Math.ceil(width / 128) >= 256) return large; // enough to fill the device
  if (rows > 32) return { threads: 64, tileRows: 64, tileOutputs: 64, threadRows: 8, threadOutputs: 8 };
  return { threads: 128, tileRows: 32, tileOutputs: 64, threadRows: 4, threadOutputs: 4 };
}

/** y = norm(x) (+ addend), where a row is a hidden state, or one head of it. */
export interface Norm<A> {
  readonly x: A; // (row, width)
  readonly weight: StoredVector<A>;
  readonly y: A; // (row, width), may be x
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
  readonly offset: 0 | 1;
  readonly addend?: A | undefined; // (row, width)
}

export function norm<A>(operation: Norm<A>, limits: KernelLimits): Dispatch<A> {
  const { x, weight, y, rows, width, eps, offset, addend } = operation;
  const threads = threadsFor(width / 4, limits);
  return createDispatch('rms-norm', {
    constants: {
      threads,
      vectorFormat: weightFormats[weight.format],
      mostSubgroups: Math.ceil(threads / limits.leastSubgroupSize),
    },
    addresses: { x, weight: weight.address, addend: addend ?? null, y },
    words: { rows, width, eps, offset },
    groups: spread(rows, limits),
  });
}

/** out = activation(gate) * up, times sigmoid(shares[row]) where rows have a share. */
export interface Activation<A> {
  readonly gate: A; // (count)
  readonly up: A; // (count)
  readonly out: A; // (count), may be gate or up
  readonly count: number;
  readonly activation: keyof typeof activations;
  readonly byRow?: { readonly shares: A /* (row) */; readonly width: number } | undefined;
}

export function activate<A>(
  { gate, up, out, count, activation, byRow }: Activation<A>,
  limits: KernelLimits,
): Dispatch<A> {
  return createDispatch('activate', {
    constants: { threads: itemThreads, activation: activations[activation] },
    addresses: { gate, up, out, shares: byRow?.shares ?? null },
    words: { count, width: byRow?.width ?? 1 },
    groups: spreadItems(count, limits),
  });
}

/** Brings values to between -clip and clip. */
export interface ClipValues<A> {
  readonly values: A; // (count)
  readonly count: number;
  readonly clip: number;
}

export function clipValues<A>({ values, count, clip }: ClipValues<A>, limits: KernelLimits): Dispatch<A> {
  return createDispatch('clip-values', {
    constants: { threads: itemThreads },
    addresses: { values },
    words: { count, clip },
    groups: spreadItems(count, limits),
  });
}

/** target[row] = scale * table[ids[row]]. */
export interface Embedding<A> {
  readonly table: StoredMatrix<A>; // (vocab, width)
  readonly ids: A; // (row), 32 bits each
  readonly target: A; // (row, width)
  readonly rows: number;
  readonly width: number;
  readonly scale: number;
}

export function embed<A>(
  { table, ids, target, rows, width, scale }: Embedding<A>,
  limits: KernelLimits,
): Dispatch<A> {
  return createDispatch('embed', {
    constants: { threads: itemThreads, weightFormat: weightFormats[table.format] },
    addresses: { table: table.address, ids, target },
    words: { tableRowBytes: table.rowBytes, rows, width, scale },
    groups: spreadItems(rows * width, limits),
  });
}

/** target[i] = source[indices[i]]. */
export interface Gather<A> {
  readonly source: A;
  readonly indices: A; // (row), 32 bits each
  readonly target: A; // (row, width)
  readonly rows: number;
  readonly width: number;
}

export function gather<A>(
  { source, indices, target, rows, width }: Gather<A>,
  limits: KernelLimits,
): Dispatch<A> {
  return createDispatch('gather', {
    constants: { threads: itemThreads },
    addresses: { source, indices, target },
    words: { rows, width },
    groups: spreadItems(rows * width, limits),
  });
}

/** target[indices[i]] += scales[i] * source[i]. */
export interface ScatterAdd<A> {
  readonly source: A; // (row, width)
  readonly indices: A; // (row), 32 bits each
  readonly scales: A; // (row)
  readonly target: A;
  readonly rows: number;
  readonly width: number;
  /** No index occurs twice. */
  readonly areDistinct: boolean;
}

export function scatterAdd<A>(operation: ScatterAdd<A>, limits: KernelLimits): Dispatch<A> {
  const { source, indices, scales, target, rows, width, areDistinct } = operation;
  return createDispatch('scatter-add', {
    constants: { threads: itemThreads },
    addresses: { source, indices, scales, target },
    words: { rows, width, rowsEach: areDistinct ? 1 : rows },
    groups: spreadItems(areDistinct ? rows * width : width, limits),
  });
}

/** Of kernels whose threads have nothing to do with each other. */
export const itemThreads = 128;

/** A power of two near what would give each thread one item, within what every device takes. */
export function threadsFor(items: number, { workgroupInvocations, leastSubgroupSize }: KernelLimits): number {
  const most = Math.min(256, workgroupInvocations);
  return Math.max(Math.min(most, powerOfTwoFrom(items)), Math.min(most, leastSubgroupSize));
}

function powerOfTwoFrom(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}

/** Workgroups along one axis, or where that takes no more, along two. */
export function spread(count: number, { workgroups }: KernelLimits): [number, number, number] {
  const y = Math.max(1, Math.ceil(count / workgroups));
  return [Math.ceil(count / y), y, 1];
}

function spreadItems(count: number, limits: KernelLimits) {
  return spread(Math.ceil(count / itemThreads), limits);
}
