/** The checks at the door of the core: the addon and its twin refuse the same calls with the same sentences. */

import { type Codec, codecs, f32, type WeightDtype } from './codecs/index.js';
import {
  layoutOf,
  type MatrixLayout,
  partsOf,
  reachBytes,
  scaleGridSize,
  spanBytes,
} from './codecs/matrix.js';
import type {
  Arena,
  AttentionCall,
  FeedForwardCall,
  GatingCall,
  NormCall,
  ProductCall,
  ReadRange,
  StreamerOptions,
  StreamFile,
  WeightsOfProduct,
} from './types.js';
import { directIoAlignmentBytes, sequenceFields, sharedFields } from './types.js';

const maxThreads = 1024;
const maxReadsInFlight = 64;
const maxChunkBytes = 2 ** 30;

/** Options of a streamer with every default filled in. */
export type ResolvedStreamerOptions = Required<StreamerOptions>;

/** @throws RangeError unless `value` is a whole number in [least, most]. */
export function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && least <= value && value <= most) return;
  throw new RangeError(`invalid ${name}: ${value}; expected a whole number from ${least} to ${most}`);
}

export function checkArenaByteLength(byteLength: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength > 0) return;
  throw new RangeError(`invalid byteLength: ${byteLength}; expected a positive whole number`);
}

export function checkOptions(options: StreamerOptions): ResolvedStreamerOptions {
  const { readsInFlight = 2, chunkBytes = 4 * 2 ** 20, direct = true, bytesPerSecondCap = null } = options;
  checkWhole('readsInFlight', readsInFlight, 1, maxReadsInFlight);
  checkWhole('chunkBytes', chunkBytes, directIoAlignmentBytes, maxChunkBytes);
  checkAligned('chunkBytes', chunkBytes);
  if (bytesPerSecondCap !== null && !(0 < bytesPerSecondCap && bytesPerSecondCap < Infinity)) {
    throw new RangeError(
      `invalid bytesPerSecondCap: ${bytesPerSecondCap}; expected a positive number or null`,
    );
  }
  return { readsInFlight, chunkBytes, direct, bytesPerSecondCap };
}

function checkAligned(name: string, value: number): void {
  if (value % directIoAlignmentBytes === 0) return;
  throw new RangeError(`invalid ${name}: ${value}; expected a multiple of ${directIoAlignmentBytes}`);
}

/** @param isOpen whether this streamer opened the file and still has it open */
export function checkRanges(
  ranges: readonly ReadRange[],
  arena: Arena,
  isOpen: (file: StreamFile) => boolean,
): void {
  for (const { file, fileOffset, byteLength, arenaOffset } of ranges) {
    if (!isOpen(file)) throw new Error(`invalid file: ${file.path}; expected one that this streamer opened`);
    checkWhole('fileOffset', fileOffset, 0, file.byteLength);
    checkWhole('byteLength', byteLength, 1, Number.MAX_SAFE_INTEGER);
    checkFits('arenaOffset', arenaOffset, byteLength, arena);
    if (!file.direct) continue;
    checkAligned('fileOffset', fileOffset);
    checkAligned('byteLength', byteLength);
    checkAligned('arenaOffset', arenaOffset);
  }
}

/** @throws RangeError unless `byteLength` bytes from `offset` lie inside the arena. */
function checkFits(name: string, offset: number, byteLength: number, arena: Arena): void {
  if (Number.isInteger(offset) && 0 <= offset && offset + byteLength <= arena.byteLength) return;
  throw new RangeError(
    `invalid ${name}: ${offset}; expected ${byteLength} bytes from there to fit an arena of ${arena.byteLength}`,
  );
}

export function checkWiden(
  source: Arena,
  sourceOffset: number,
  dtype: WeightDtype,
  count: number,
  target: Arena,
  targetOffset: number,
): void {
  checkCodec(dtype);
  checkWhole('count', count, 0, f32.count(Number.MAX_SAFE_INTEGER));
  checkBlocks('count', count, dtype);
  checkSides(source, 'sourceOffset', sourceOffset, codecs[dtype].bytes(count), target, targetOffset, count);
}

export function checkPacking(values: Uint8Array, packed: Uint8Array): void {
  const { bf16, bf16_packed } = codecs;
  const count = bf16.count(values.byteLength);
  const isWhole = bf16.bytes(count) === values.byteLength && count % bf16_packed.blockElements === 0;
  if (isWhole && bf16_packed.bytes(count) === packed.byteLength) return;
  throw new RangeError(
    `invalid packed: ${packed.byteLength} bytes for ${values.byteLength} of bf16; expected 100 for every 128`,
  );
}

/** As {@link checkWiden}, for a matrix that lies as `layout` says. */
export function checkDecodeMatrix(
  source: Arena,
  valuesOffset: number,
  dtype: WeightDtype,
  layout: MatrixLayout,
  target: Arena,
  targetOffset: number,
): void {
  checkCodec(dtype);
  checkLayout(dtype, layout);
  const count = layout.rows * layout.columns;
  const valueBytes = spanBytes(dtype, layout);
  checkSides(source, 'valuesOffset', valuesOffset, valueBytes, target, targetOffset, count);
  for (const { offset, bytes } of partsOf(layout))
    checkSides(source, 'scalesOffset', valuesOffset + offset, bytes, target, targetOffset, count);
}

function checkLayout(dtype: WeightDtype, layout: MatrixLayout): void {
  const { rows, columns, step, paired, across, scales } = layout;
  for (const [name, value] of Object.entries({ rows, columns, across })) checkWhole(name, value, 0, 2 ** 32);
  checkWhole('step', step, 1, 2 ** 20);
  const { isAcross = false }: Codec = codecs[dtype];
  checkBlocks(isAcross ? 'rows' : 'columns', isAcross ? rows : columns, dtype);
  if (isAcross && (across === 0 || step > 1 || paired > 1))
    throw new RangeError(
      `invalid across: ${across}; expected rows of ${dtype} stored transposed and in order`,
    );
  checkPaired(paired, rows, 'rows');
  if (scales?.zeros && rows * columns > 0)
    checkBlocks('rows of zero points', scaleGridSize(layout, scales)[0], scales.zeros.codec);
}

function checkCodec(dtype: WeightDtype): void {
  if (Object.hasOwn(codecs, dtype)) return;
  throw new RangeError(`invalid dtype: ${dtype}; expected one of ${Object.keys(codecs).join(', ')}`);
}

function checkBlocks(name: string, count: number, dtype: WeightDtype): void {
  const { blockElements }: Codec = codecs[dtype];
  if (count % blockElements === 0) return;
  throw new RangeError(
    `invalid ${name}: ${count}; expected a multiple of ${blockElements}, the block of ${dtype}`,
  );
}

/** Bytes of the source and as many floats of the target: inside their arenas, and apart. */
function checkSides(
  source: Arena,
  name: string,
  sourceOffset: number,
  sourceBytes: number,
  target: Arena,
  targetOffset: number,
  count: number,
): void {
  const targetBytes = f32.bytes(count);
  checkFits(name, sourceOffset, sourceBytes, source);
  checkFits('targetOffset', targetOffset, targetBytes, target);
  if (targetOffset % f32.bytes(1) !== 0) {
    throw new RangeError(`invalid targetOffset: ${targetOffset}; expected a multiple of ${f32.bytes(1)}`);
  }
  const apart = sourceOffset + sourceBytes <= targetOffset || targetOffset + targetBytes <= sourceOffset;
  if (source.buffer === target.buffer && !apart && count > 0) {
    throw new RangeError(
      `invalid targetOffset: ${targetOffset}; expected a target that does not overlap the source`,
    );
  }
}

/** Checks one attention call and returns its number of rows (new tokens of all sequences). */
export function checkAttention(call: AttentionCall): number {
  const { numHeads, numKvHeads, headDim, slidingWindow, scale } = call.shape;
  checkWhole('numHeads', numHeads, 1, 2 ** 20);
  checkWhole('numKvHeads', numKvHeads, 1, numHeads);
  if (numHeads % numKvHeads !== 0) {
    throw new RangeError(`invalid numKvHeads: ${numKvHeads}; expected a divisor of numHeads, ${numHeads}`);
  }
  checkWhole('headDim', headDim, 2, 2 ** 20);
  if (headDim % 2 !== 0) throw new RangeError(`invalid headDim: ${headDim}; expected an even number`);
  checkWhole('slidingWindow', slidingWindow, 0, Number.MAX_SAFE_INTEGER);
  if (!(0 < scale && scale < Infinity))
    throw new RangeError(`invalid scale: ${scale}; expected a positive number`);
  checkWhole('threads', call.threads, 1, maxThreads);

  const { sequences, shared, cache } = call;
  if (sequences.length % sequenceFields !== 0) {
    throw new RangeError(
      `invalid sequences: ${sequences.length} numbers; expected ${sequenceFields} per sequence`,
    );
  }
  const numSequences = sequences.length / sequenceFields;
  if (shared && shared.length !== numSequences * sharedFields)
    throw new RangeError(
      `invalid shared: ${shared.length} numbers; expected ${sharedFields} per sequence, ${numSequences * sharedFields}`,
    );
  const checkCapacity = (capacity: number) =>
    checkWhole('capacity', capacity, 0, Math.floor(cache.length / (numKvHeads * headDim)));
  const checkBlock = ([keys, values, capacity]: Float64Array, tokens: number) => {
    const mostOffset = cache.length - ((numKvHeads - 1) * capacity + tokens) * headDim;
    checkWhole('key offset', keys, 0, mostOffset);
    checkWhole('value offset', values, 0, mostOffset);
  };
  let numRows = 0;
  let numPositions = 0;
  for (let index = 0; index < numSequences; index += 1) {
    const own = sequences.subarray(index * sequenceFields, (index + 1) * sequenceFields);
    const [, , capacity, numPast, numNew] = own;
    checkCapacity(capacity);
    let numShared = 0;
    if (shared) {
      const others = shared.subarray(index * sharedFields, (index + 1) * sharedFields);
      checkCapacity(others[2]);
      numShared = others[3];
      checkWhole('shared tokens', numShared, 0, others[2]);
      checkBlock(others, numShared);
    }
    checkWhole('tokens cached', numPast, numShared, numShared + capacity);
    checkWhole('new tokens', numNew, 0, numShared + capacity - numPast);
    checkBlock(own, numPast - numShared + numNew);
    numRows += numNew;
    if (numNew > 0) numPositions = Math.max(numPositions, numPast + numNew);
  }
  checkLength('q', call.q, numRows * numHeads * headDim);
  checkLength('k', call.k, numRows * numKvHeads * headDim);
  checkLength('v', call.v, numRows * numKvHeads * headDim);
  checkLength('out', call.out, numRows * numHeads * headDim);
  checkLength('ropeCos', call.ropeCos, numPositions * (headDim / 2));
  checkLength('ropeSin', call.ropeSin, numPositions * (headDim / 2));
  if (call.sinks) checkLength('sinks', call.sinks, numHeads);
  return numRows;
}

/** What products read stored transposed: words of neighbours. */
const transposed: readonly WeightDtype[] = ['int4', 'int4_awq', 'int8_packed'];

export function checkProduct(call: ProductCall): void {
  const { rows, depth, width, bias, addend } = call;
  checkWhole('rows', rows, 0, 2 ** 32);
  checkWhole('threads', call.threads, 1, maxThreads);
  checkWeights(call, depth, width);
  checkLength('x', call.x, rows * depth);
  checkLength('y', call.y, rows * width);
  if (bias) checkLength('bias', bias, width);
  if (addend) checkLength('addend', addend, rows * width);
}

/** The depth and the width by themselves: products of a few microseconds are checked too, and copying objects takes as long. */
function checkWeights(call: Omit<WeightsOfProduct, 'depth' | 'width'>, depth: number, width: number): void {
  const { dtype, weights, paired, step } = call;
  checkCodec(dtype);
  checkWhole('depth', depth, 1, 2 ** 30);
  checkWhole('width', width, 1, 2 ** 30);
  checkPaired(paired, width, 'width');
  checkWhole('step', step, 1, 2 ** 20);
  const layout = layoutOf(call, depth, width);
  if (layout) {
    checkLayout(dtype, layout);
    if (layout.across > 0 && !transposed.includes(dtype))
      throw new RangeError(
        `invalid across: ${layout.across}; products read ${transposed.join(', ')} stored transposed, not ${dtype}`,
      );
  } else checkBlocks('depth', depth, dtype);
  if (layout) for (const { offset } of partsOf(layout)) checkWhole('offset of scales', offset, 0, 2 ** 53);
  const expectedBytes = layout
    ? reachBytes(dtype, layout)
    : ((width - 1) * step + 1) * codecs[dtype].bytes(depth);
  if (weights.byteLength < expectedBytes)
    throw new RangeError(
      `invalid weights: ${weights.byteLength} bytes; expected at least ${expectedBytes}, ${width} rows of ${depth} in ${dtype}`,
    );
}

export function checkNorm({ x, weight, addend, y, rows, width }: NormCall): void {
  checkWhole('rows', rows, 0, 2 ** 30);
  checkWhole('width', width, 1, 2 ** 30);
  checkLength('x', x, rows * width);
  checkLength('weight', weight, width);
  checkLength('y', y, rows * width);
  if (addend) checkLength('addend', addend, rows * width);
}

export function checkGating({ gate, up, count }: GatingCall): void {
  checkWhole('count', count, 0, Number.MAX_SAFE_INTEGER);
  checkLength('gate', gate, count);
  checkLength('up', up, count);
}

export function checkFeedForward(call: FeedForwardCall): void {
  const { x, y, rows, depth, width, threads, gate, up, down } = call;
  checkWhole('rows', rows, 0, 2 ** 30);
  checkWhole('threads', threads, 1, maxThreads);
  checkWeights(gate, depth, width);
  checkWeights(up, depth, width);
  checkWeights(down, width, depth);
  checkLength('x', x, rows * depth);
  checkLength('y', y, rows * depth);
}

function checkPaired(paired: number, rows: number, of: string): void {
  checkWhole('paired', paired, 1, 2 ** 20);
  if (paired > 1 && (paired % 2 !== 0 || rows % paired !== 0))
    throw new RangeError(`invalid paired: ${paired}; expected 1 or an even divisor of ${of}, ${rows}`);
}

/** Longer is fine: callers keep views of the largest batch. */
function checkLength(name: string, view: Float32Array, numElements: number): void {
  if (view.length >= numElements) return;
  throw new RangeError(`invalid ${name}: ${view.length} elements; expected at least ${numElements}`);
}

export function checkCores(cores: readonly number[]): void {
  if (cores.length === 0) throw new RangeError('invalid cores: none; expected at least one core number');
  for (const core of cores) checkWhole('core', core, 0, 2 ** 18);
}

export function checkKernelLevel(level: string, levels: readonly string[]): void {
  if (levels.includes(level)) return;
  throw new RangeError(
    `invalid level of kernels: ${level}; expected ${levels.join(' or ')}, which this processor can run`,
  );
}
