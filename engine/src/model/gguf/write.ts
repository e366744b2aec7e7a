/** Writes a GGUF file with another's metadata, all or nothing. */

import type { HeaderTensor } from '../header-tensor.js';
import { type TensorSource, type WriteOptions, writeFileOf, writeTensor, writeWhole } from '../write.js';
import { type Gguf, readFirst } from './file.js';
import { alignmentOf, type EntryPlace, typeNumberOf } from './header.js';

/** A tensor as another file stores it. */
export type CopiedTensor = Extract<TensorSource, { readonly stored: unknown }>;

export interface WriteGgufOptions extends WriteOptions {
  readonly path: string;
  /** Whose metadata it has. */
  readonly source: Gguf;
  /** The bytes of an entry's value in their place; null leaves the entry out. */
  readonly changeEntry: (entry: EntryPlace, value: Buffer) => Uint8Array | null;
  readonly tensors: readonly CopiedTensor[];
}

/** @throws UserError as `writeCheckpoint` does */
export async function writeGguf(options: WriteGgufOptions): Promise<void> {
  const { path, source, tensors, signal, onProgress } = options;
  const alignment = alignmentOf(source.metadata, source.path);
  const padded = (byteLength: number) => Math.ceil(byteLength / alignment) * alignment;
  const header = await encodeHeader(options, padded);
  const bytesTotal =
    padded(header.length) + tensors.reduce((sum, { stored }) => sum + padded(stored.byteLength), 0);
  await writeWhole(path, bytesTotal, options, (temporary, disk) => {
    let bytesDone = 0;
    const onWrite = (byteLength: number) => {
      bytesDone += byteLength;
      onProgress?.({ bytesDone, bytesTotal });
    };
    return writeFileOf(temporary, disk, signal, onWrite, async (put) => {
      const fillUp = (byteLength: number) => put(Buffer.alloc(padded(byteLength) - byteLength));
      await put(header);
      await fillUp(header.length);
      for (const tensor of tensors) {
        await writeTensor(tensor, put);
        await fillUp(tensor.stored.byteLength);
      }
    });
  });
}

async function encodeHeader(
  { source, changeEntry, tensors }: WriteGgufOptions,
  padded: (byteLength: number) => number,
): Promise<Buffer> {
  const { version, entries } = source.header;
  const bytes = await readFirst(source.path, entries.at(-1)?.end ?? 0);
  const kept = entries.flatMap((entry) => {
    const value = changeEntry(entry, bytes.subarray(entry.valueStart, entry.end));
    return value === null ? [] : [Buffer.concat([bytes.subarray(entry.start, entry.valueStart), value])];
  });
  let offset = 0;
  const infos = tensors.map(({ name, shape, stored }) => {
    const info = encodeInfo(name, shape, stored.dtype, offset);
    offset += padded(stored.byteLength);
    return info;
  });
  return Buffer.concat([
    ...[Buffer.from('GGUF'), word(version), long(tensors.length), long(kept.length)],
    ...[...kept, ...infos],
  ]);
}

/** The innermost size stands first. */
function encodeInfo(name: string, shape: HeaderTensor['shape'], dtype: string, offset: number): Buffer {
  const text = Buffer.from(name);
  return Buffer.concat([
    ...[long(text.length), text, word(shape.length), ...[...shape].reverse().map(long)],
    ...[word(typeNumberOf(dtype)), long(offset)],
  ]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
