/** The bytes of inflated tensors, as streams of bounded chunks: copied, rearranged, random, zero. */

import { type FileHandle, open } from 'node:fs/promises';
import { UserError } from '@specoffload/input';
import {
  type Codec,
  codecs,
  decodeWeights,
  f32,
  type PlainCodec,
  plainCodecs,
  type WeightDtype,
} from '@specoffload/native';
import type { Random } from './random.js';
import { readTensor } from './stored.js';
import type { TensorRef } from './types.js';

const chunkBytes = 4 * 2 ** 20;

/** Random access to the tensors of a checkpoint; keeps each file open until it is closed. */
export class TensorReader {
  readonly #files = new Map<string, FileHandle>();
  /** The latest tensor whose values lie among others, in its own dtype. */
  #gathered: { readonly ref: TensorRef; readonly bytes: Uint8Array } | null = null;

  /** Fills `target` from byte `offset` of the tensor, as if its rows lay one behind the other. */
  async read(ref: TensorRef, offset: number, target: Uint8Array): Promise<void> {
    if (ref.layout) {
      target.set((await this.#gather(ref)).subarray(offset, offset + target.length));
      return;
    }
    await this.readStored(ref, offset, target);
  }

  /** The same of what lies in a file as it does. */
  async readStored(
    { path, name, fileOffset }: Pick<TensorRef, 'path' | 'name' | 'fileOffset'>,
    offset: number,
    target: Uint8Array,
  ): Promise<void> {
    const file = this.#files.get(path) ?? (await open(path, 'r'));
    this.#files.set(path, file);
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await file.read(target, done, target.length - done, fileOffset + offset + done);
      if (bytesRead === 0)
        throw new UserError(`${path} ended inside ${name}; it was changed meanwhile, try again`);
      done += bytesRead;
    }
  }

  /** All that is stored, so many bytes at a time, of one buffer. */
  async *chunks(
    tensor: Pick<TensorRef, 'path' | 'name' | 'fileOffset' | 'byteLength'>,
    chunkBytes: number,
  ): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(Math.min(chunkBytes, tensor.byteLength));
    for (let at = 0; at < tensor.byteLength; at += buffer.length) {
      const chunk = buffer.subarray(0, tensor.byteLength - at);
      await this.readStored(tensor, at, chunk);
      yield chunk;
    }
  }

  /** Widened and narrowed again, which changes no value. */
  async #gather(ref: TensorRef): Promise<Uint8Array> {
    if (this.#gathered?.ref !== ref)
      this.#gathered = { ref, bytes: plainCodec(ref.dtype).encode(await readTensor(ref)) };
    return this.#gathered.bytes;
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }
}

/** Whether two tensors hold the same values, whatever they are stored as; reads no further than the first difference. */
export async function areEqual(one: TensorRef, other: TensorRef): Promise<boolean> {
  if (one.numElements !== other.numElements || one.layout || other.layout) return false;
  const reader = new TensorReader();
  const read = async (ref: TensorRef, first: number, count: number) => {
    const codec: Codec = codecs[ref.dtype];
    const bytes = Buffer.alloc(codec.bytes(count));
    await reader.read(ref, codec.bytes(first), bytes);
    return one.dtype === other.dtype ? bytes : Buffer.from(decodeWeights(bytes, ref.dtype).buffer);
  };
  const step = f32.count(chunkBytes);
  try {
    for (let first = 0; first < one.numElements; first += step) {
      const count = Math.min(step, one.numElements - first);
      if (!(await read(one, first, count)).equals(await read(other, first, count))) return false;
    }
    return true;
  } finally {
    await reader.close();
  }
}

/** @throws UserError where weights cannot be written that way. */
export function plainCodec(dtype: WeightDtype): PlainCodec {
  if (Object.hasOwn(plainCodecs, dtype)) return plainCodecs[dtype as keyof typeof plainCodecs];
  throw new UserError(
    `weights in ${dtype} can be read, not written; expected one of ${Object.keys(plainCodecs).join(', ')}; use a checkpoint that is not quantised`,
  );
}

/** Which rows (or columns) of a source tensor; `end` is not included. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/** Rows of a (row, column) tensor, unchanged. */
export async function* copyRows(
  reader: TensorReader,
  ref: TensorRef,
  rows: Range,
): AsyncGenerator<Uint8Array> {
  const rowBytes = ref.byteLength / ref.shape[0];
  const end = rows.end * rowBytes;
  const buffer = new Uint8Array(Math.min(chunkBytes, end - rows.begin * rowBytes));
  for (let at = rows.begin * rowBytes; at < end; ) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, end - at));
    await reader.read(ref, at, chunk);
    yield chunk;
    at += chunk.length;
  }
}

/** Each row of a (row, column) tensor `times` times. */
export async function* repeatRows(
  reader: TensorReader,
  ref: TensorRef,
  times: number,
): AsyncGenerator<Uint8Array> {
  const row = new Uint8Array(ref.byteLength / ref.shape[0]);
  for (let r = 0; r < ref.shape[0]; r++) {
    await reader.read(ref, r * row.length, row);
    for (let i = 0; i < times; i++) yield row;
  }
}

/** Some columns of a (row, column) tensor times `factor`, followed by zeros up to `width` columns. */
export async function* widenColumns(
  reader: TensorReader,
  ref: TensorRef,
  columns: Range,
  factor: number,
  width: number,
): AsyncGenerator<Uint8Array> {
  const [numRows, numColumns] = ref.shape as [number, number];
  const { bytes } = codecs[ref.dtype];
  const kept = bytes(columns.end - columns.begin);
  const rowsAtOnce = Math.min(
    numRows,
    Math.max(1, Math.floor(chunkBytes / bytes(Math.max(numColumns, width)))),
  );
  const input = new Uint8Array(bytes(rowsAtOnce * numColumns)); // (rowsAtOnce, numColumns)
  const output = new Uint8Array(bytes(rowsAtOnce * width)); // (rowsAtOnce, width); beyond `kept` it stays zero
  for (let row = 0; row < numRows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, numRows - row);
    await reader.read(ref, bytes(row * numColumns), input.subarray(0, bytes(count * numColumns)));
    for (let r = 0; r < count; r++) {
      const from = bytes(r * numColumns + columns.begin);
      const part = input.subarray(from, from + kept);
      output.set(factor === 1 ? part : scaled(part, factor, ref), bytes(r * width));
    }
    yield output.subarray(0, bytes(count * width));
  }
}

/** Weights times a factor; exact in every dtype when that is a power of two. */
function scaled(stored: Uint8Array, factor: number, { name, dtype }: TensorRef): Uint8Array {
  const bytes = plainCodec(dtype).encode(decodeWeights(stored, dtype).map((value) => value * factor));
  if (decodeWeights(bytes, dtype).every(Number.isFinite)) return bytes;
  throw new UserError(
    `${name} holds weights too large to multiply by ${factor} in ${dtype}; ask for fewer experts`,
  );
}

export async function* repeatValue(
  value: number,
  dtype: WeightDtype,
  count: number,
): AsyncGenerator<Uint8Array> {
  const codec = plainCodec(dtype);
  const buffer = codec.encode(new Float32Array(Math.min(count, f32.count(chunkBytes))).fill(value));
  for (let left = codec.bytes(count); left > 0; left -= buffer.length) {
    yield buffer.subarray(0, Math.min(left, buffer.length));
  }
}

const poolSize = 2 ** 20;
const longestRun = 2 ** 16;

/**
 * A pool of random normal weights, from which runs are drawn at random offsets: drawing costs a copy, not a logarithm.
 * Normal numbers of a sensible size are neither NaN nor denormal in fp32, which would slow arithmetic down tenfold.
 */
export class NormalPool {
  readonly #codec: PlainCodec;
  readonly #bytes: Uint8Array;

  constructor(dtype: WeightDtype, std: number, random: Random) {
    this.#codec = plainCodec(dtype);
    const values = new Float32Array(poolSize);
    for (let i = 0; i < poolSize; i += 1) values[i] = std * random.normal();
    this.#bytes = this.#codec.encode(values);
  }

  async *draw(count: number, random: Random): AsyncGenerator<Uint8Array> {
    const codec = this.#codec;
    const buffer = new Uint8Array(Math.min(chunkBytes, codec.bytes(count)));
    for (let left = codec.bytes(count); left > 0; left -= buffer.length) {
      const chunk = buffer.subarray(0, Math.min(left, buffer.length));
      for (let at = 0; at < chunk.length; ) {
        const run = Math.min(codec.bytes(longestRun), chunk.length - at);
        const from = codec.bytes(Math.floor(random.uniform() * (poolSize - longestRun)));
        chunk.set(this.#bytes.subarray(from, from + run), at);
        at += run;
      }
      yield chunk;
    }
  }
}
